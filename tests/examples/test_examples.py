"""Every file under examples/ as a process of its own, talked to by another."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from demo.process import ROOT, ServerProcess, free_port
from simple_websocket import Client

EXAMPLES = ROOT / "examples"
PATIENCE = 20.0

# The ways to start the echo server that its files name.
ECHO_SERVERS: dict[str, Callable[[int], list[str]]] = {
    "server.py": lambda port: ["examples/flask/server.py", "--port", str(port)],
    "gevent_server.py": lambda port: ["examples/flask/gevent_server.py", "--port", str(port)],
    "eventlet_server.py": lambda port: ["examples/flask/eventlet_server.py", "--port", str(port)],
    "flask run": lambda port: ["-m", "flask", "--app", "examples/flask/server.py", "run", "--port", str(port)],
    "gunicorn": lambda port: [
        *("-m", "gunicorn", "--chdir", "examples/flask", "--threads", "100", "--bind", f"127.0.0.1:{port}", "server:app")
    ],
}


@contextmanager
def running(command: Callable[[int], list[str]], folder: Path) -> Iterator[ServerProcess]:
    log = folder / "server.log"
    # gunicorn's control socket goes there, rather than where other gunicorns of this machine have theirs.
    with ServerProcess("the example", command, log, {"XDG_RUNTIME_DIR": str(folder)}) as server:
        try:
            yield server
        except BaseException:
            print(server.log_tail())
            raise
        text = server.read_log()
        assert "Traceback" not in text and "Error" not in text, text


def client(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a client example to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("name", ECHO_SERVERS)
def test_echo_server_and_client(name: str, tmp_path: Path) -> None:
    with running(ECHO_SERVERS[name], tmp_path) as server:
        with Client.connect(server.url("/echo")) as ws:
            for message in ("hello", b"bytes", "ü" * 100_000):
                ws.send(message)
                assert ws.receive(timeout=PATIENCE) == message
        ran = client("examples/client/client.py", "--port", str(server.port), typed="first\nGrüße\n")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout == "> < first\n> < Grüße\n> "


def test_client_ends_when_there_is_no_server(tmp_path: Path) -> None:
    ran = client("examples/client/client.py", "--port", str(free_port()), typed="hello\n")
    assert ran.returncode == 1
    assert "Connection refused" in ran.stderr


def clock(*options: str) -> Callable[[int], list[str]]:
    return lambda port: ["examples/clock/server.py", "--port", str(port), *options]


def test_clock(tmp_path: Path) -> None:
    with running(clock("--ticks", "3", "--interval", "0.05"), tmp_path) as server:
        ran = client("examples/clock/client.py", "--port", str(server.port))
        assert (ran.returncode, ran.stderr) == (0, "")
        *times, last = ran.stdout.splitlines()
        assert len(times) == 3 and all(len(time) == len("12:34:56") for time in times)
        assert last == "closed by the server: 1000"


def test_clock_is_told_to_stop(tmp_path: Path) -> None:
    with running(clock("--interval", "30"), tmp_path) as server:
        with Client.connect(server.url("/")) as ws:
            assert ws.receive(timeout=PATIENCE)
            ws.send("stop")
            assert list(ws) == []
            assert ws.close_reason == 1000


def test_clock_answers_plain_http(tmp_path: Path) -> None:
    with running(clock(), tmp_path) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            assert (response.status, response.reason) == (400, "Bad Request")
            assert b"WebSocket clients" in response.read()
        finally:
            connection.close()


@pytest.mark.parametrize("backend", ["threading", "gevent", "eventlet"])
def test_chat(tmp_path: Path, backend: str) -> None:
    command = ["examples/serve/server.py", "--backend", backend]
    with running(lambda port: [*command, "--port", str(port)], tmp_path) as server:
        with Client.connect(server.url("/")) as ws:
            ran = client("examples/serve/client.py", "Ann", "--port", str(server.port), typed="hello\nbye\n")
            assert (ran.returncode, ran.stderr) == (0, "")
            assert ran.stdout.splitlines()[-1] == "closed: 1000"
            assert [ws.receive(PATIENCE), ws.receive(PATIENCE)] == ["Ann: hello", "Ann: bye"]
            with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as connection:
                connection.request("GET", "/")
                response = connection.getresponse()
                assert response.status == 200 and b"new WebSocket" in response.read()


def test_every_example_is_run() -> None:
    tests = "".join(path.read_text() for path in ROOT.glob("tests/*/test_examples.py"))
    for path in EXAMPLES.rglob("*.py"):
        assert f"examples/{path.relative_to(EXAMPLES)}" in tests, f"no test runs {path}"


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_the_documented_port_is_the_default(path: Path) -> None:
    ran = client(str(path), "--help")
    assert ran.returncode == 0 and "--port" in ran.stdout
    assert 'add_argument("--port", type=int, default=5000)' in path.read_text()
