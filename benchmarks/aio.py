"""Subjects on asyncio: ours on a socket of one's own and under aiohttp, and what users have instead.

aiohttp's own WebSocketResponse runs in the same application as ours does, so that both pay for the same web server.
All of them run on asyncio's own event loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from .orders import Setup
from .wire import BROADCAST

__all__ = ["aiohttp_response", "ours", "ours_aiohttp", "picows", "websockets_asyncio"]

_MESSAGE = BROADCAST[4:].decode()


def ours(setup: Setup) -> None:
    """`AioServer` on a socket of one's own, so that no web server is measured with it."""
    from simple_websocket import AioServer

    loop = asyncio.new_event_loop()
    members: set[Any] = set()

    async def serve_one(sock: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = await loop.sock_recv(sock, 4096)
            if not data:
                sock.close()
                return
            head += data
        lines = head.decode("latin-1").rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        async with await AioServer.accept(sock=sock, headers=headers, ping_interval=setup.orders.ping_interval) as ws:
            await _talk(ws, members, setup)

    async def serve() -> None:
        setup.listener.setblocking(False)
        setup.ready()
        talks: set[Any] = set()  # the loop holds its tasks weakly
        while True:
            sock, _ = await loop.sock_accept(setup.listener)
            task = loop.create_task(serve_one(sock))
            talks.add(task)
            task.add_done_callback(talks.discard)

    loop.run_until_complete(serve())


async def _talk(ws: Any, members: set[Any], setup: Setup) -> None:
    if not setup.broadcasts:
        async for message in ws:
            await ws.send(message)
        return
    import simple_websocket

    send_to_all = getattr(simple_websocket, "aio_broadcast", None) if setup.orders.helper else None
    members.add(ws)
    try:
        async for _ in ws:
            if send_to_all is None:
                for member in list(members):
                    await member.send(_MESSAGE)
            else:
                await send_to_all(list(members), _MESSAGE)
    finally:
        members.discard(ws)


def ours_aiohttp(setup: Setup) -> None:
    """`AioServer` under aiohttp."""
    from aiohttp import web

    from simple_websocket import AioServer

    members: set[Any] = set()

    async def serve_one(request: Any) -> Any:
        async with await AioServer.accept(aiohttp=request, ping_interval=setup.orders.ping_interval) as ws:
            await _talk(ws, members, setup)
        return web.Response()

    _serve_aiohttp(serve_one, setup)


def aiohttp_response(setup: Setup) -> None:
    """aiohttp's own WebSocketResponse."""
    from aiohttp import WSMsgType, web

    members: set[Any] = set()

    async def serve_one(request: Any) -> Any:
        ws = web.WebSocketResponse(compress=setup.deflate, heartbeat=setup.orders.ping_interval, max_msg_size=0)
        await ws.prepare(request)
        members.add(ws)
        try:
            async for message in ws:
                if setup.broadcasts:
                    for member in list(members):
                        await member.send_str(_MESSAGE)
                elif message.type is WSMsgType.TEXT:
                    await ws.send_str(message.data)
                else:
                    await ws.send_bytes(message.data)
        finally:
            members.discard(ws)
        return ws

    _serve_aiohttp(serve_one, setup)


def _serve_aiohttp(serve_one: Callable[[Any], Awaitable[Any]], setup: Setup) -> None:
    from aiohttp import web

    async def serve() -> None:
        app = web.Application()
        app.add_routes([web.get("/{path:.*}", serve_one)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, setup.listener, ssl_context=setup.tls()).start()
        setup.ready()
        await asyncio.Event().wait()

    asyncio.run(serve())


def websockets_asyncio(setup: Setup) -> None:
    """``websockets.asyncio.server``; its own helper broadcasts."""
    from websockets.asyncio.server import broadcast
    from websockets.asyncio.server import serve as make_server

    members: set[Any] = set()

    async def serve_one(ws: Any) -> None:
        members.add(ws)
        try:
            async for message in ws:
                if setup.broadcasts:
                    broadcast(members, _MESSAGE)
                else:
                    await ws.send(message)
        finally:
            members.discard(ws)

    async def serve() -> None:
        async with make_server(
            serve_one, sock=setup.listener, ssl=setup.tls(), compression="deflate" if setup.deflate else None,
            ping_interval=setup.orders.ping_interval, max_size=None,
        ) as server:  # fmt: skip
            setup.ready()
            await server.serve_forever()

    asyncio.run(serve())


def picows(setup: Setup) -> None:
    """picows, whose parser and transport are Cython's: a callback gets the bytes, nothing makes a message of them."""
    from picows import WSListener, WSMsgType, ws_create_server

    class Echo(WSListener):  # type: ignore[misc]
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
                transport.disconnect()
            else:
                transport.send(frame.msg_type, frame.get_payload_as_bytes())

    async def serve() -> None:
        server = await ws_create_server(
            lambda request: Echo(), sock=setup.listener, ssl=setup.tls(), max_frame_size=64 * 1024 * 1024
        )
        setup.ready()
        await server.serve_forever()

    asyncio.run(serve())
