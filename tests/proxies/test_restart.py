"""The application is restarted behind the proxies, under load: in good order, one process after the other, and killed.

In each case clients are told, come back by themselves, and no message is lost or doubled that was acknowledged.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from simple_websocket import Client, ConnectionError

from .clients import Crowd, check
from .conftest import Runner
from .processes import CONFIGURATIONS, KINDS, Application, Proxy

CLIENTS = 40
RESTARTS = 2

Start = Callable[[str, str], tuple[Application, Proxy]]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def start(tmp_path: Path, ledger: Path, make_proxy: Callable[..., Proxy], run: Runner) -> Start:
    """Start an application of one's own, which listens on a Unix socket, and a proxy in front of it."""

    def start(worker: str, kind: str) -> tuple[Application, Proxy]:
        options = ["-k", worker, "--threads", str(CLIENTS + 10)]
        application = run(Application(tmp_path, options, f"unix:{tmp_path}/app.sock", ledger))
        return application, run(make_proxy(kind, application.address))

    return start


def url(proxy: Proxy) -> str:
    return f"ws://127.0.0.1:{proxy.port}/ledger"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("worker", ["gthread", "gevent"])
def test_rolling(kind: str, worker: str, start: Start, ledger: Path) -> None:
    """What HUP does: new workers, and the old ones go."""
    application, proxy = start(worker, kind)
    with Crowd(url(proxy), CLIENTS) as crowd:
        old = crowd.all_served_by(set(), within=20)
        for _ in range(RESTARTS):
            os.kill(application.pid, signal.SIGHUP)
            old |= crowd.all_served_by(old, within=20)
        report = crowd.stop()
    check(report, ledger, slowness=application.slowness)
    assert set(report["closes"]) == {"1001"}, report["closes"]
    assert not application.tracebacks()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_stopped_and_started_again(kind: str, how: str, start: Start, ledger: Path) -> None:
    application, proxy = start("gthread", kind)
    with Crowd(url(proxy), CLIENTS) as crowd:
        old = crowd.all_served_by(set(), within=20)
        if how == "stopped":
            application.shut_down(within=5 * application.slowness)
        else:
            application.kill()
        crowd.wait_until(lambda now: now["waiting"] == CLIENTS, within=10, what="every client has noticed")
        application.start()
        crowd.all_served_by(old, within=20)
        report = crowd.stop()
    check(report, ledger, graceful=how == "stopped", slowness=application.slowness)
    assert report["closes"] == {"1001" if how == "stopped" else "1006": CLIENTS}
    # While there is no application the proxies say so, nginx with 502 and HAProxy with 503. HAProxy says 502 of a
    # request that was in the application's hands when it went.
    assert report["refusals"] and set(report["refusals"]) <= {"502", "503"}, report["refusals"]
    assert not application.tracebacks()


def test_a_client_that_comes_back(start: Start) -> None:
    """The one that the documentation shows."""
    keep_connected = runpy.run_path(str(CONFIGURATIONS / "reconnect.py"))["keep_connected"]
    connected, served_by = threading.Event(), []

    def talk(ws: Client) -> str:
        ws.send("hello")
        served_by.append(str(ws.receive(timeout=5)))
        connected.set()
        if len(served_by) == 2:
            return "done"
        ws.receive()
        raise AssertionError("the application says nothing by itself")

    application, proxy = start("gthread", "nginx")
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(keep_connected, url(proxy), talk)
        assert connected.wait(10)
        application.shut_down(within=5 * application.slowness)
        application.start()
        assert result.result(timeout=20) == "done"
    assert served_by[0] != served_by[1]
    with pytest.raises(ConnectionError) as caught:
        keep_connected(proxy.url("/forbidden"), talk)
    assert caught.value.status_code == 403
