"""Subjects under uvicorn: ours, and an application on bare ASGI over each of uvicorn's WebSocket implementations."""

from __future__ import annotations

from typing import Any

from .orders import BACKLOG, Setup

__all__ = ["ours", "with_websockets", "with_wsproto"]


def ours(setup: Setup) -> None:
    """`AioServer` on ASGI; the framing is uvicorn's, with websockets."""
    from simple_websocket import AioServer

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async with await AioServer.accept(asgi=(scope, receive, send)) as ws:
            async for message in ws:
                await ws.send(message)

    _serve(application, "websockets", setup)


def with_websockets(setup: Setup) -> None:
    """uvicorn with websockets."""
    _serve(_echo, "websockets", setup)


def with_wsproto(setup: Setup) -> None:
    """uvicorn with wsproto."""
    _serve(_echo, "wsproto", setup)


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        text = event.get("text")
        if text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})


def _serve(application: Any, implementation: str, setup: Setup) -> None:
    import uvicorn

    certificate = setup.orders.certificate if setup.orders.mode == "tls" else None
    config = uvicorn.Config(
        application, loop="asyncio", ws=implementation, lifespan="off", log_level="error", access_log=False, backlog=BACKLOG,
        ws_max_size=64 * 1024 * 1024, ws_ping_interval=setup.orders.ping_interval, ws_per_message_deflate=setup.deflate,
        ssl_certfile=certificate, ssl_keyfile=certificate,
    )  # fmt: skip
    server = uvicorn.Server(config)
    setup.ready()
    server.run(sockets=[setup.listener])
