"""uWSGI, of which the library gets a descriptor and nothing else: how its workers end, and what they keep."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.process import ServerProcess
from simple_websocket import Client

from .conftest import Running
from .entries import ENTRIES, Entry
from .raw import OPENING
from .test_stopping import close_codes, gone_within, open_connections

THREADS, GREENLETS = (next(entry for entry in ENTRIES if entry.name == name) for name in ("uwsgi", "uwsgi-gevent"))

Run = Callable[[Entry], ServerProcess]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_everybody_is_told_on_greenlets(run: Run, stop: signal.Signals) -> None:
    with run(GREENLETS) as process:
        connections = open_connections(process, 10)
        os.kill(process.pid, stop)
        assert close_codes(connections, within=3.0) == {1001}
        gone_within(process, 5.0)


def await_idle(stats: Path) -> None:
    """Return once no thread of the workers is in a request: the answer is with the client a little before that."""
    deadline = time.monotonic() + 5.0
    while not stats.exists() or any(core["in_request"] for worker in report(stats)["workers"] for core in worker["cores"]):
        assert time.monotonic() < deadline, "a request does not end, or uWSGI does not say so"
        time.sleep(0.01)


def report(stats: Path) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as sock, sock.makefile() as answer:
        sock.connect(str(stats))
        return dict(json.load(answer))


def test_connections_whose_requests_are_over_are_told_on_threads(run: Run, tmp_path: Path) -> None:
    """A worker that is in the middle of a request is ended on the spot; one that is not says goodbye."""
    stats = tmp_path / "stats"
    with run(replace(THREADS, options=("--stats", str(stats)))) as process:
        connections = [Client.connect(process.url(f"/keep?id={number}")) for number in range(5)]
        for ws in connections:
            assert ws.receive(timeout=5) == "kept"
        await_idle(stats)
        os.kill(process.pid, signal.SIGTERM)
        assert close_codes(connections, within=3.0) == {1001}
        gone_within(process, 5.0)


def test_a_refused_connection_leaves_no_descriptor(run: Run) -> None:
    with run(THREADS) as process:
        server = Running(THREADS, process)
        counts = []
        for _ in range(2):
            for _ in range(10):
                connection = process.http()
                connection.request("GET", "/mixed", headers={**OPENING, "Connection": "Upgrade"})
                response = connection.getresponse()
                assert (response.status, response.read()) == (409, b"ValueError")
                connection.close()
            counts.append(json.loads(server.get("/resources"))["descriptors"])
        assert counts[1] <= counts[0]
