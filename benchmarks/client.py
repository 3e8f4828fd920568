"""The process of one client that is measured: ``python -m benchmarks.client NAME PORT CASE``.

It sends a message, waits for the echo and compares it, again and again.  A line with ``{"run": seconds}`` starts that; the
answer is how many messages it were.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .cases import Case
from .wire import payload_of

__all__ = ["CLIENTS", "Client", "main"]

_CHECK_CLOCK = 8


@dataclass(frozen=True)
class Client:
    """A client library.

    :param name: as the table shows it.
    :param family: threads, gevent or asyncio.
    :param kind: ``ours`` or ``peer``.
    :param run: called with a URL and a message; serves the questions.
    :param packages: distributions without which it cannot run.
    """

    name: str
    family: str
    kind: str
    run: Callable[[str, Any], None]
    packages: tuple[str, ...] = ()


def _answer(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def _questions() -> Any:
    _answer(ready=True)
    for line in sys.stdin:
        yield json.loads(line)["run"]


def _ask_and_answer(send: Callable[[Any], Any], receive: Callable[[], Any], message: Any) -> None:
    """Echo with a synchronous client."""
    for seconds in _questions():
        count = 0
        started = now = time.perf_counter()
        while now < started + seconds:
            for _ in range(_CHECK_CLOCK):
                send(message)
                if receive() != message:
                    raise SystemExit("the echo is wrong")
            count += _CHECK_CLOCK
            now = time.perf_counter()
        _answer(messages=count, seconds=now - started)


async def _ask_and_answer_aio(send: Callable[[Any], Awaitable[Any]], receive: Callable[[], Awaitable[Any]], message: Any) -> None:
    """Echo with one for asyncio; nothing happens on the loop while the next question is waited for."""
    for seconds in _questions():
        count = 0
        started = now = time.perf_counter()
        while now < started + seconds:
            for _ in range(_CHECK_CLOCK):
                await send(message)
                if await receive() != message:
                    raise SystemExit("the echo is wrong")
            count += _CHECK_CLOCK
            now = time.perf_counter()
        _answer(messages=count, seconds=now - started)


def _ours(backend: str) -> Callable[[str, Any], None]:
    def run(url: str, message: Any) -> None:
        from simple_websocket import Client

        with Client(url, compression=False, backend=backend) as ws:
            _ask_and_answer(ws.send, ws.receive, message)

    return run


def _websocket_client(url: str, message: Any) -> None:
    import websocket

    ws = websocket.create_connection(url, sockopt=((6, 1, 1),))  # TCP_NODELAY
    send = ws.send_binary if isinstance(message, bytes) else ws.send
    _ask_and_answer(send, ws.recv, message)


def _websockets_sync(url: str, message: Any) -> None:
    from websockets.sync.client import connect

    with connect(url, compression=None, ping_interval=None, max_size=None, proxy=None) as ws:
        _ask_and_answer(ws.send, ws.recv, message)


def _ours_aio(url: str, message: Any) -> None:
    from simple_websocket import AioClient

    async def run() -> None:
        async with await AioClient.connect(url, compression=False) as ws:
            await _ask_and_answer_aio(ws.send, ws.receive, message)

    asyncio.run(run())


def _websockets_asyncio(url: str, message: Any) -> None:
    from websockets.asyncio.client import connect

    async def run() -> None:
        async with connect(url, compression=None, ping_interval=None, max_size=None, proxy=None) as ws:
            await _ask_and_answer_aio(ws.send, ws.recv, message)

    asyncio.run(run())


def _aiohttp(url: str, message: Any) -> None:
    import aiohttp

    async def run() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(url, compress=0, max_msg_size=0) as ws:
            if isinstance(message, bytes):
                await _ask_and_answer_aio(ws.send_bytes, ws.receive_bytes, message)
            else:
                await _ask_and_answer_aio(ws.send_str, ws.receive_str, message)

    asyncio.run(run())


CLIENTS = {
    client.name: client
    for client in (
        Client("Client", "threads", "ours", _ours("threading")),
        Client("websocket-client", "threads", "peer", _websocket_client, ("websocket-client",)),
        Client("websockets sync client", "threads", "peer", _websockets_sync, ("websockets",)),
        Client("Client on gevent", "gevent", "ours", _ours("gevent"), ("gevent",)),
        Client("AioClient", "asyncio", "ours", _ours_aio),
        Client("websockets asyncio client", "asyncio", "peer", _websockets_asyncio, ("websockets",)),
        Client("aiohttp client", "asyncio", "peer", _aiohttp, ("aiohttp",)),
    )
}


def main(name: str, port: str, case_name: str) -> None:
    """Be the client with this name."""
    case = Case.parse(case_name)
    payload = payload_of(case.size)
    CLIENTS[name].run(f"ws://127.0.0.1:{port}/{case.name}", payload if case.binary else payload.decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
