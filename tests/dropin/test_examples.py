"""The examples with other projects and frameworks as processes of their own, started in every way their files name."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import socketio

from demo.process import ROOT, ServerProcess
from simple_websocket import Client
from tests.servers.conftest import TROUBLE
from tests.servers.raw import CLOSE, OPENING, TEXT, RawClient, close_frame, frame

from .conftest import PATIENCE

Command = Callable[[int], list[str]]


def script(path: str, *options: str) -> Command:
    return lambda port: [path, "--port", str(port), *options]


def gunicorn(folder: str, app: str, *options: str) -> Command:
    return lambda port: ["-m", "gunicorn", "--chdir", f"examples/{folder}", *options, "--bind", f"127.0.0.1:{port}", app]


THREADS, GEVENT = ("--threads", "100"), ("-k", "gevent")

ECHO = {
    "flask_sock": script("examples/flask_sock/server.py"),
    "flask_sock, gunicorn gevent": gunicorn("flask_sock", "server:app", *GEVENT),
    "django": script("examples/django/server.py"),
    "django, gunicorn gevent": gunicorn("django", "server:application", *GEVENT),
    "bottle": script("examples/bottle/server.py"),
    "bottle, gunicorn gevent": gunicorn("bottle", "server:app", *GEVENT),
    "falcon": script("examples/falcon/server.py"),
    "falcon, gunicorn gevent": gunicorn("falcon", "server:app", *GEVENT),
}

SOCKETIO = {
    "threads": script("examples/flask_socketio/server.py"),
    "gevent": script("examples/flask_socketio/server.py", "--async-mode", "gevent"),
    "gunicorn gthread": gunicorn("flask_socketio", "server:create_app()", *THREADS),
    "gunicorn gevent": gunicorn("flask_socketio", "server:create_app('gevent')", *GEVENT),
}


@contextmanager
def running(command: Command, folder: Path) -> Iterator[ServerProcess]:
    """Start it; its log must not tell of trouble after its start."""
    # python-engineio prefers gevent-websocket, which `make bench` installs into the same venv.
    (folder / "geventwebsocket.py").write_text("raise ImportError('hidden from the examples')")
    # gunicorn's control socket goes there, rather than where other gunicorns of this machine have theirs.
    environment = {"XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(folder)}
    with ServerProcess("the example", command, folder / "server.log", environment) as server:
        started = len(server.read_log())
        try:
            yield server
        except BaseException:
            print(server.log_tail(40))
            raise
        text = server.read_log()
        assert not TROUBLE.search(text, started), text


@pytest.mark.parametrize("name", ECHO)
def test_echo(name: str, tmp_path: Path) -> None:
    with running(ECHO[name], tmp_path) as server:
        with Client.connect(server.url("/echo")) as ws:
            for message in ("hello", b"bytes", "", "ü" * 100_000):
                ws.send(message)
                assert ws.receive(PATIENCE) == message
        assert ws.close_reason == 1000
        with RawClient(server.port, "/echo", first=frame(TEXT, b"early")) as raw:
            assert raw.receive() == (TEXT, b"early")
            raw.send(close_frame(1001))
            assert raw.receive() == (CLOSE, b"\x03\xe9")
            assert raw.rest(within=1.0) == b""
        for headers in ({}, {**OPENING, "Sec-WebSocket-Version": "12"}):
            if not (headers and "flask_sock" in name):  # Flask-Sock leaves a handshake's errors to Flask, which answers 500
                assert 400 <= status(server, headers) < 500


def status(server: ServerProcess, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request("GET", "/echo", headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.parametrize("name", SOCKETIO)
def test_flask_socketio(name: str, tmp_path: Path) -> None:
    with running(SOCKETIO[name], tmp_path) as server:
        with socketio.SimpleClient(handle_sigint=False) as listener:
            listener.connect(f"http://127.0.0.1:{server.port}", wait_timeout=int(PATIENCE))
            assert listener.transport == "websocket"
            assert listener.call("say", b"12345", timeout=PATIENCE) == 5
            assert listener.receive(PATIENCE) == ["said", b"12345"]
            ran = subprocess.run(
                [sys.executable, "examples/flask_socketio/client.py", "--port", str(server.port)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
                input="first\nGrüße\n",
                capture_output=True,
                encoding="utf-8",
                timeout=2 * PATIENCE,
            )
            assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "> < first\n> < Grüße\n> ")
            assert [listener.receive(PATIENCE) for _ in range(2)] == [["said", "first"], ["said", "Grüße"]]
