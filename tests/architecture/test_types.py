"""What a type checker tells somebody who uses the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

USER = """
from typing_extensions import assert_type

from simple_websocket import AioClient, AioServer, Client, Server

def on_threads(ws: Client | Server) -> None:
    assert_type(ws.receive(), str | bytes | None)
    for message in ws:
        assert_type(message, str | bytes)
        ws.send(message)
    assert_type(ws.close_reason, int | None)

async def on_asyncio(ws: AioClient | AioServer) -> None:
    assert_type(await ws.receive(timeout=1.5), str | bytes | None)
    async for message in ws:
        assert_type(message, str | bytes)
        await ws.send(message)
    async with ws as same:
        assert_type(same, AioClient | AioServer)
"""


def test_messages_have_types(tmp_path):
    program = tmp_path / "user.py"
    program.write_text(USER)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(program)]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50)
    assert result.returncode == 0, result.stdout + result.stderr
