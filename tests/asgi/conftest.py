"""ASGI servers as processes of their own, started with the command lines that people use."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from simple_websocket import Client
from tests.support.wire import Head, request

ROOT = Path(__file__).parents[2]
APP = "tests.asgi.app:app"


class Kind(NamedTuple):
    """A server, and what it tells (measured: none of it is ours)."""

    name: str
    command: list[str]
    code: bool = True  # the client's close code
    reason: bool = True  # and its reason
    says_reason: bool = True  # passes our close reason on
    codes: bool = True  # closes with any code, and not just with 1000 and 3000 to 4999
    empty: bool = True  # sends empty messages
    status: int = 401  # what a denial arrives as
    headers: bool = True  # additional headers of the response
    returned: tuple[int, ...] = ()  # close codes that the client may get when the application returns while open


def uvicorn(ws: str) -> Kind:
    command = ["-m", "uvicorn", APP, "--port", "{port}", "--ws", ws, "--log-level", "info"]
    return Kind(f"uvicorn-{ws}", command, returned=(1001, 1006, 1012))


KINDS = [
    uvicorn("websockets"),
    uvicorn("websockets-sansio"),
    uvicorn("wsproto"),
    Kind("hypercorn", ["-m", "hypercorn", "--bind", "127.0.0.1:{port}", APP], code=False, reason=False, returned=(1001, 1011)),
    Kind(
        "daphne", ["-m", "daphne", "--bind", "127.0.0.1", "--port", "{port}", APP],
        reason=False, says_reason=False, codes=False, empty=False, status=403, headers=False, returned=(1000,),
    ),  # fmt: skip
    Kind(
        "gunicorn", ["-m", "gunicorn", "--worker-class", "asgi", "--bind", "127.0.0.1:{port}", "--no-control-socket", APP],
        reason=False, status=403, returned=(1001, 1011),
    ),  # fmt: skip
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Running:
    """A server process.

    :param kind: what it is.
    :param log: where its output goes.
    """

    def __init__(self, kind: Kind, log: Path) -> None:
        self.kind = kind
        self.log = log
        self.port = free_port()
        command = [sys.executable, *(part.format(port=self.port) for part in kind.command)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT)
        try:
            self.eventually(lambda: self.result("x") is None and not self.crashed())
        except BaseException:
            self.stop()
            raise

    def crashed(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return False

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def url(self, path: str, name: str = "") -> str:
        return f"ws://127.0.0.1:{self.port}/{path}" + (f"/?name={name}" if name else "/")

    def connect(self, path: str, name: str = "", **options: Any) -> Client:
        return Client.connect(self.url(path, name), **options)

    def handshake(self, path: str) -> Head:
        """Ask for a WebSocket; return the head of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            sock.sendall(request(f"127.0.0.1:{self.port}", path))
            data = b""
            while b"\r\n\r\n" not in data:
                piece = sock.recv(65536)
                assert piece, data
                data += piece
            return Head(data.partition(b"\r\n\r\n")[0])

    def result(self, name: str) -> Any:
        """What the application has told under this name, ``None`` so far."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", f"/results/{name}")
            return json.load(connection.getresponse())["result"]
        finally:
            connection.close()

    def told(self, name: str) -> Any:
        """Wait for what the application tells."""
        return self.eventually(lambda: self.result(name))

    def eventually(self, condition: Any, timeout: float = 20) -> Any:
        by = time.monotonic() + timeout
        while True:
            try:
                found = condition()
                if found not in (None, False):
                    return found
            except OSError:
                self.crashed()
            assert time.monotonic() < by, self.log.read_text()
            time.sleep(0.02)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(request.param, tmp_path_factory.mktemp("server") / "log")
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def clean_log(server: Running) -> Iterator[None]:
    """No test may leave a traceback in the server's log."""
    before = len(server.log.read_text())
    yield
    said = server.log.read_text()[before:]
    # uvicorn's sansio implementation says so after every denial.
    said = said.replace("ERROR:    ASGI callable returned without completing handshake.", "")
    for bad in ("Traceback", "ERROR", "Task was destroyed", "never retrieved", "never awaited"):
        assert bad not in said, said


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex
