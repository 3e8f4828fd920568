"""`AsgiLink`: one connection over ASGI's ``receive`` and ``send``: the surface of ``aiolink.py`` on somebody else's protocol.

The ASGI server does the framing, the pings and the closing handshake.  Everything runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .errors import CloseReason, ConnectionClosed, ConnectionError
from .protocol.connection import check_close
from .protocol.handshake import Headers, Request, add_headers
from .protocol.payload import PreparedMessage, payload_of

__all__ = ["AsgiLink", "AsgiProtocol", "accept", "deny", "read_request"]

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

# Frames that nobody waits for any more are still being sent by these; the event loop alone would forget them.
_closing: set[asyncio.Task[None]] = set()


async def read_request(scope: Any, receive: Receive) -> Request:
    """Return a client's request, parsed.

    :raises ConnectionError: it is not for a WebSocket, or the client has gone.
    """
    if scope["type"] != "websocket":
        raise ConnectionError(400, detail=f"an ASGI scope of type {scope['type']} is no WebSocket")
    event = await receive()
    if event["type"] != "websocket.connect":
        raise ConnectionError(400, detail=f"the client has gone before it was accepted: {event['type']}")
    host = next((value for name, value in scope["headers"] if name.lower() == b"host"), b"")
    target = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    return Request(
        host=host.decode("latin-1"),
        target=(target.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1"),
        subprotocols=list(scope.get("subprotocols", ())),
        extra_headers=[(bytes(name), bytes(value)) for name, value in scope["headers"]],
    )


async def accept(send: Send, subprotocol: str | None, headers: Headers | None) -> None:
    """Accept the connection."""
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": _pairs(headers)})


async def deny(scope: Any, send: Send, status_code: int, headers: Headers | None, body: bytes) -> None:
    """Answer the request with an HTTP status; without more than 403, from the server, where it cannot be told more."""
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send({"type": "websocket.http.response.start", "status": status_code, "headers": _pairs(headers)})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": int(CloseReason.NORMAL_CLOSURE), "reason": ""})


def _pairs(headers: Headers | None) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in add_headers(headers)]


class AsgiProtocol:
    """How the connection stands, in the words of `Protocol`."""

    __slots__ = ("close_status", "latency", "open")

    def __init__(self) -> None:
        self.open = True
        self.close_status: tuple[int, str | None] | None = None
        self.latency: float | None = None

    def closed_error(self) -> ConnectionClosed:
        """Return the exception that says how the connection ended."""
        return ConnectionClosed(*(self.close_status or (CloseReason.ABNORMAL_CLOSURE, None)))


class AsgiLink:
    """One connection's input and output.

    :param receive: ASGI's.
    :param send: ASGI's.
    :param max_message_size: the most bytes of a message to receive, ``None`` for no limit.
    """

    def __init__(self, receive: Receive, send: Send, max_message_size: int | None) -> None:
        self.protocol = AsgiProtocol()
        self._asgi_receive = receive
        self._asgi_send = send
        self._max_message_size = max_message_size
        self.loop = asyncio.get_running_loop()
        # The server is asked in a task that outlives who wanted to know: with a receive that is cancelled or whose time is up
        # it might lose a message, and a send only looks whether the client has gone.  So one message may be waiting here.
        self._asking: asyncio.Task[None] | None = None
        self._message: str | bytes | None = None
        self._waiters: list[asyncio.Future[None]] = []

    async def receive(self, timeout: float | None, iterating: bool = False) -> str | bytes | None:
        """Return the next message; ``None`` when there was none within `timeout` seconds.

        :param iterating: whether the end of the connection is the end of an iteration, and no error.  Default: ``False``.
        """
        deadline = None if timeout is None else self.loop.time() + timeout
        if timeout is not None and timeout <= 0:
            await self._look()
        while True:
            message = self._message
            if message is not None:
                self._message = None
                return message
            if self.protocol.close_status is not None:
                raise StopAsyncIteration if iterating else self.protocol.closed_error()
            if deadline is not None and self.loop.time() >= deadline:
                return None
            self._ask()
            await self._wait(deadline)

    async def _wait(self, deadline: float | None) -> None:
        waiter = self.loop.create_future()
        self._waiters.append(waiter)
        timer = None if deadline is None else self.loop.call_at(deadline, _wake, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake_all(self) -> None:
        for waiter in self._waiters:
            _wake(waiter)
        self._waiters.clear()

    async def _look(self) -> None:
        """Learn what the server knows without waiting."""
        self._ask()
        if self._asking is not None:
            await asyncio.sleep(0)  # the task's turn, in which it is answered if there is an answer

    def _ask(self) -> None:
        if self._asking is None and self._message is None and self.protocol.close_status is None:
            self._asking = self.loop.create_task(self._next_event())

    async def _next_event(self) -> None:
        try:
            event = await self._asgi_receive()
        except Exception:  # there is nothing to receive any more; each server has its own way to say so
            event = {"type": "websocket.disconnect"}
        finally:
            self._asking = None
        if event["type"] == "websocket.receive":
            text, data = event.get("text"), event.get("bytes")
            message: str | bytes = (data or b"") if text is None else text
            limit = self._max_message_size
            if limit is not None and len(message.encode() if isinstance(message, str) else message) > limit:
                await self.close(CloseReason.MESSAGE_TOO_BIG, f"message of more than {limit} bytes")
            else:
                self._message = message
        elif event["type"] == "websocket.disconnect":
            self._disconnected(event.get("code"), event.get("reason"))
        self._wake_all()

    async def send(self, data: Any) -> None:
        """Send one message."""
        if self.protocol.open:
            await self._look()  # some servers say nothing when a message is sent to a client that has gone
        if not self.protocol.open:
            raise self.protocol.closed_error()
        payload = payload_of(data)
        if isinstance(payload, PreparedMessage):
            payload = payload.data
        if isinstance(payload, bytes):
            event: Event = {"type": "websocket.send", "bytes": payload}
        else:
            if not payload.isascii():
                payload.encode()  # lone surrogates are the caller's mistake, not the end of the connection
            event = {"type": "websocket.send", "text": payload}
        try:
            await self._asgi_send(event)
        except Exception:  # the client has gone; each server has its own way to say so
            await self._look()  # with which code?
            self._disconnected(None, None)
            raise self.protocol.closed_error() from None

    def post(self, data: Any) -> bool:
        """Send nothing: with ASGI one always has to wait."""
        return False

    async def ping(self, payload: bytes) -> None:
        """Refuse: ASGI has no pings.

        :raises ValueError: always.
        """
        raise ValueError("ASGI leaves pings to the server: configure them there")

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        check_close(code, reason)
        if self.protocol.open:
            self._disconnected(code, reason)
            await self._send_close(code, reason)

    async def _send_close(self, code: int, reason: str) -> None:
        for allowed in (int(code), int(CloseReason.NORMAL_CLOSURE)):
            try:
                await self._asgi_send({"type": "websocket.close", "code": allowed, "reason": reason})
                return
            except Exception:  # the client has gone; or daphne, which refuses 1001 to 2999 and would leave it open
                continue

    def abandon(self) -> None:
        """End a connection that nobody can use any more, without waiting."""
        # Most servers do this by themselves when their application returns; with the others the client would wait for ever.
        if self.protocol.open:
            self._disconnected(CloseReason.GOING_AWAY, "")
            task = self.loop.create_task(self._send_close(CloseReason.GOING_AWAY, ""))
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    def _disconnected(self, code: int | None, reason: str | None) -> None:
        self.protocol.open = False
        if self.protocol.close_status is None:
            self.protocol.close_status = (CloseReason.ABNORMAL_CLOSURE if code is None else code, reason or None)
        if self._asking is not None:
            self._asking.cancel()
        self._wake_all()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
