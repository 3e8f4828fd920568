"""A new configuration for a running proxy: it cuts no connection, and new ones go through the new process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from simple_websocket import Client

from .conftest import Runner
from .processes import KINDS, Application, Proxy

# How its master is told, what it says when it is ready, each time, and of the end of the old process.
RELOAD = {
    "nginx": (signal.SIGHUP, "start worker process ", "exited with code 0"),
    "haproxy": (signal.SIGUSR2, "Loading success", "Former worker"),
}


def says(proxy: Proxy, text: str, times: int, within: float) -> bool:
    """Wait for the log to say it so many times."""
    deadline = time.monotonic() + within
    while proxy.read_log().count(text) < times:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def reload(proxy: Proxy, number: int, ready: str) -> None:
    assert says(proxy, ready, 1, within=5)
    for _ in range(5):  # HAProxy's master has just started, and now and then sleeps through the signal
        os.kill(proxy.pid, number)
        if says(proxy, ready, 2, within=2):
            return
    raise AssertionError(f"{proxy.name} does not reload")


@pytest.mark.parametrize("kind", KINDS)
def test_reload(kind: str, application: Application, make_proxy: Callable[..., Proxy], run: Runner) -> None:
    number, ready, gone = RELOAD[kind]
    proxy = run(make_proxy(kind, application.address))
    with Client.connect(proxy.url("/echo")) as old:
        old.send("before")
        assert old.receive(timeout=5) == "before"
        reload(proxy, number, ready)
        with Client.connect(proxy.url("/echo")) as new:
            for ws in (old, new):
                ws.send("after")
                assert ws.receive(timeout=5) == "after"
    assert old.close_reason == 1000 and new.close_reason == 1000
    # The old process was there for the old connection alone.
    assert says(proxy, gone, 1, within=5)
