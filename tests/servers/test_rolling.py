"""gunicorn restarts its workers, four times, under 200 clients that echo and come back by themselves.

Nobody is in front of it here; tests/proxies does the same through nginx and HAProxy.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.proxies.clients import Crowd, check
from tests.proxies.processes import Application

CLIENTS = 200
RESTARTS = 4
# Seconds for the old workers. gevent's looks once a second whether it has to go, and once a second whether it still serves.
GONE_WITHIN = {"gthread": 5.0, "gevent": 8.0}

OPTIONS = {
    "gthread": ["-k", "gthread", "--threads", "250"],  # a thread for each client, and more while two workers overlap
    "gevent": ["-k", "gevent"],
}


@pytest.mark.limit(120)
@pytest.mark.parametrize("worker", OPTIONS)
def test_rolling_restart(worker: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with Application(tmp_path, OPTIONS[worker], ledger=ledger) as application:
        with Crowd(f"ws://{application.address}/ledger", CLIENTS) as crowd:
            old = crowd.all_served_by(set(), within=20)
            for _ in range(RESTARTS):
                os.kill(application.pid, signal.SIGHUP)
                deadline = time.monotonic() + GONE_WITHIN[worker] * application.slowness
                new = crowd.all_served_by(old, within=20)
                while left := [pid for pid in old if Path(f"/proc/{pid}").exists()]:
                    assert time.monotonic() < deadline, f"workers {left} have not gone in time\n{application.log_tail()}"
                    time.sleep(0.05)
                old = new
            report = crowd.stop()
        check(report, ledger, slowness=application.slowness)
        print(f"{len(report['acknowledged'])} of {report['sent']} acknowledged, longest wait {report['longest_wait']:.2f} s")
        # Each client was told, each time, that the server goes away, and nobody just lost the connection.
        assert set(report["closes"]) == {"1001"}, report["closes"]
        assert report["closes"]["1001"] >= RESTARTS * CLIENTS
        assert not application.tracebacks()
