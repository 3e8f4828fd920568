"""Subjects on asyncio: a bare `asyncio.Protocol`, ours under aiohttp and on a socket of one's own, and what users have instead.

aiohttp's own WebSocketResponse runs in the same application as ours does, so that both pay for the same web server.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from .accept import BACKLOG, HOST

__all__ = ["aiohttp_response", "bare", "ours", "ours_aiohttp", "websockets_asyncio"]

Listening = Callable[[int], None]


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


def bare(listening: Listening) -> None:
    """`asyncio.Protocol`, the least that an echo can cost on asyncio."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Echo, HOST, 0, backlog=BACKLOG)
        listening(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def ours(listening: Listening) -> None:
    """`AioServer` on a socket of one's own, so that no web server is measured with it."""
    from simple_websocket import AioServer

    loop = asyncio.new_event_loop()

    async def talk(sock: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await loop.sock_recv(sock, 4096)
        lines = head.decode("latin-1").rstrip().split("\r\n")
        async with await AioServer.accept(sock=sock, headers=dict(line.split(": ", 1) for line in lines[1:])) as ws:
            async for message in ws:
                await ws.send(message)

    async def serve() -> None:
        listener = socket.create_server((HOST, 0), backlog=BACKLOG)
        listener.setblocking(False)
        listening(listener.getsockname()[1])
        talks = set()  # the loop holds its tasks weakly
        while True:
            sock, _ = await loop.sock_accept(listener)
            talks.add(loop.create_task(talk(sock)))

    loop.run_until_complete(serve())


def ours_aiohttp(listening: Listening) -> None:
    """`AioServer` under aiohttp."""
    from aiohttp import web

    from simple_websocket import AioServer

    async def echo(request: Any) -> Any:
        async with await AioServer.accept(aiohttp=request) as ws:
            async for message in ws:
                await ws.send(message)
        return web.Response()

    _serve_aiohttp(echo, listening)


def aiohttp_response(listening: Listening) -> None:
    """aiohttp's own WebSocketResponse."""
    from aiohttp import WSMsgType, web

    async def echo(request: Any) -> Any:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            else:
                await ws.send_bytes(message.data)
        return ws

    _serve_aiohttp(echo, listening)


def _serve_aiohttp(echo: Callable[[Any], Awaitable[Any]], listening: Listening) -> None:
    from aiohttp import web

    async def serve() -> None:
        app = web.Application()
        app.add_routes([web.get("/{path:.*}", echo)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0, backlog=BACKLOG)
        await site.start()
        listening(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(serve())


def websockets_asyncio(listening: Listening) -> None:
    """``websockets.asyncio.server``."""
    from websockets.asyncio.server import serve as make_server

    async def echo(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    async def serve() -> None:
        async with make_server(echo, HOST, 0, compression=None, ping_interval=None) as server:
            listening(server.sockets[0].getsockname()[1])
            await server.serve_forever()

    asyncio.run(serve())
