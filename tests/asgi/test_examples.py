"""The asynchronous examples as processes of their own: every server with the client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simple_websocket import Client
from tests.asgi.conftest import ROOT, free_port

PATIENCE = 20.0
SERVERS = {
    "aiohttp": ["examples/aiohttp/server.py", "--port", "{port}"],
    "asgi": ["examples/asgi/server.py", "--port", "{port}"],
    "asgi-uvicorn": ["-m", "uvicorn", "--app-dir", "examples/asgi", "--port", "{port}", "server:echo"],
    "asgi-hypercorn": ["-m", "hypercorn", "--bind", "127.0.0.1:{port}", "examples/asgi/server.py:echo"],
}
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def server() -> Iterator[None]:
    """In place of the servers of the other tests here."""
    yield


@pytest.fixture
def clean_log() -> None:
    """These have logs of their own."""


@pytest.mark.parametrize("name", SERVERS)
def test_echo_server_and_clients(name: str, tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "log"
    command = [sys.executable, *(part.format(port=port) for part in SERVERS[name])]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=ENVIRON, stdout=output, stderr=subprocess.STDOUT)
    try:
        by = time.monotonic() + PATIENCE
        while True:
            try:
                ws = Client.connect(f"ws://127.0.0.1:{port}/echo")
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < by, log.read_text()
                time.sleep(0.02)
        with ws:
            for message in ("hello", b"bytes", "ü" * 100_000):
                ws.send(message)
                assert ws.receive(timeout=PATIENCE) == message
        ran = subprocess.run(
            [sys.executable, "examples/aio_client/client.py", "--port", str(port)],
            cwd=ROOT,
            env=ENVIRON,
            input="first\nGrüße\n",
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )
        assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "> < first\n> < Grüße\n> ")
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()
