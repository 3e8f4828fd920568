"""Flask-SocketIO over TLS, with python-socketio's asyncio client.

The client with threads is of no use here: it reads and writes a TLS connection in two threads at once, and loses a few in a
hundred of them, whatever the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import socketio

from .clients import UPGRADE, WEBSOCKET
from .conftest import PATIENCE, Running
from .entries import ENGINEIO_TLS

pytestmark = [
    pytest.mark.parametrize("started", ENGINEIO_TLS, indirect=True, ids=lambda entry: entry.name),
    pytest.mark.parametrize("transports", [WEBSOCKET, UPGRADE], ids=["websocket", "upgrade"]),
]


class Talker:
    """A connected client, and what it receives."""

    def __init__(self, sio: socketio.AsyncClient) -> None:
        self.sio = sio
        self._received: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        sio.on("*", self.keep)
        sio.on("disconnect", lambda reason: self.keep("disconnect", reason))

    def keep(self, *what: Any) -> None:
        self._received.put_nowait(what)

    async def next(self) -> tuple[Any, ...]:
        return await asyncio.wait_for(self._received.get(), PATIENCE)


@asynccontextmanager
async def connected(server: Running, transports: list[str]) -> AsyncIterator[Talker]:
    connector = aiohttp.TCPConnector(ssl=server.tls)
    async with aiohttp.ClientSession(connector=connector) as session:
        sio = socketio.AsyncClient(reconnection=False, handle_sigint=False, request_timeout=PATIENCE, http_session=session)
        talker = Talker(sio)
        await sio.connect(f"https://127.0.0.1:{server.port}", transports=transports, wait_timeout=PATIENCE)
        try:
            assert sio.transport() == "websocket"
            assert (await talker.next())[0] == "welcome"
            yield talker
        finally:
            await sio.disconnect()


def test_events(server: Running, transports: list[str]) -> None:
    async def talk() -> None:
        async with connected(server, transports) as one:
            for arguments in [("Grüße", 1, None), (b"\x00\xff" * 50_000, {"b": b""}), ("é" * 100_000,), ()]:
                await one.sio.emit("echo", arguments)
                assert await one.next() == ("echo", *arguments)
            assert await one.sio.call("acknowledged", ("x", b"y"), timeout=PATIENCE) == ("got", "x", b"y")
            await one.sio.emit("ticks", 20)
            assert [await one.next() for _ in range(20)] == [("tick", number) for number in range(20)]

    asyncio.run(talk())


def test_server_disconnects(server: Running, transports: list[str]) -> None:
    async def talk() -> None:
        async with connected(server, transports) as one:
            await one.sio.emit("throw me out")
            assert await one.next() == ("disconnect", "server disconnect")

    asyncio.run(talk())


def test_many_at_once(server: Running, transports: list[str]) -> None:
    """While the server sends from many of its threads or greenlets at a time."""

    everybody = server.entry.at_once

    async def talk(number: int, together: asyncio.Event, ready: asyncio.Semaphore) -> None:
        async with connected(server, transports) as one:
            await one.sio.call("join", "hall", timeout=PATIENCE)
            ready.release()
            await together.wait()
            for round in range(10):
                await one.sio.emit("echo", (number, round))
                await one.sio.emit("tell", ("hall", number))
            received = [await one.next() for _ in range(10 + everybody * 10)]
            assert sorted(event for event in received if event[0] == "echo") == [("echo", number, n) for n in range(10)]
            assert sorted(event for event in received if event[0] == "news") == sorted(
                [("news", n) for n in range(everybody)] * 10
            )

    async def all_of_them() -> None:
        together, ready = asyncio.Event(), asyncio.Semaphore(0)
        talks = [asyncio.ensure_future(talk(number, together, ready)) for number in range(everybody)]
        for _ in talks:
            await asyncio.wait_for(ready.acquire(), PATIENCE)
        together.set()
        await asyncio.gather(*talks)

    asyncio.run(all_of_them())
