"""`AsgiLink`: one connection over ASGI's ``receive`` and ``send``: the surface of ``aiolink.py`` on somebody else's protocol.

The ASGI server does the framing, the pings and the closing handshake.  Everything runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .errors import CloseReason, ConnectionClosed
from .protocol.connection import check_close

__all__ = ["AsgiLink", "AsgiProtocol"]

Event = MutableMapping[str, Any]


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

    def __init__(
        self, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]], max_message_size: int | None
    ) -> None:
        self.protocol = AsgiProtocol()
        self._asgi_receive = receive
        self._asgi_send = send
        self._max_message_size = max_message_size
        self._loop = asyncio.get_running_loop()
        # An ASGI server is asked by one at a time.  `_asker` is done when somebody who asks by himself has an answer;
        # `_asked` outlives who made it: a receive whose timeout has passed, or a send that looks for a disconnect.
        self._asker: asyncio.Future[None] | None = None
        self._asked: asyncio.Future[Event] | None = None

    async def receive(self, timeout: float | None) -> str | bytes | None:
        """Return the next message; ``None`` when there was none within `timeout` seconds."""
        deadline = None if timeout is None else self._loop.time() + timeout
        while True:
            if self.protocol.close_status is not None:
                raise self.protocol.closed_error()
            left = None if deadline is None else max(0.0, deadline - self._loop.time())
            if self._asker is not None:
                await asyncio.wait([self._asker], timeout=left)
                event = None
            else:
                event = await self._next_event(left)
            if event is not None and event["type"] == "websocket.disconnect":
                self._disconnected(event)
            elif event is not None and event["type"] == "websocket.receive":
                return await self._message(event)
            elif deadline is not None and deadline <= self._loop.time():
                return None

    async def _next_event(self, timeout: float | None) -> Event | None:
        if timeout is None and self._asked is None:
            self._asker = self._loop.create_future()
            try:
                return await self._asgi_receive()
            finally:
                self._asker.set_result(None)
                self._asker = None
        asked = self._ask()
        # Not cancelled when the time is up: the server might lose a message.
        await asyncio.wait([asked], timeout=timeout)
        if self._asked is not asked or not asked.done():
            return None  # nothing yet, or somebody else was faster
        self._asked = None
        return asked.result()

    def _ask(self) -> asyncio.Future[Event]:
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._asgi_receive())
        return self._asked

    async def _message(self, event: Event) -> str | bytes:
        text, data = event.get("text"), event.get("bytes")
        message: str | bytes = (data or b"") if text is None else text
        limit = self._max_message_size
        if limit is not None and len(message.encode() if isinstance(message, str) else message) > limit:
            await self.close(CloseReason.MESSAGE_TOO_BIG, f"message of more than {limit} bytes")
            raise self.protocol.closed_error()
        return message

    async def send(self, data: Any) -> None:
        """Send one message."""
        if self.protocol.open and self._asker is None:
            # Some servers say nothing when a message is sent to a client that has gone.
            asked = self._ask()
            if not asked.done():
                await asyncio.sleep(0)
            if asked.done() and self._asked is asked and asked.result()["type"] == "websocket.disconnect":
                self._disconnected(asked.result())
        if not self.protocol.open:
            raise self.protocol.closed_error()
        if isinstance(data, (bytes, bytearray, memoryview)):
            event: Event = {"type": "websocket.send", "bytes": bytes(data)}
        else:
            event = {"type": "websocket.send", "text": data if isinstance(data, str) else str(data)}
        try:
            await self._asgi_send(event)
        except Exception:  # each server has its own for this
            self._disconnected({})
            raise self.protocol.closed_error() from None

    async def ping(self, payload: bytes) -> None:
        """Refuse: ASGI has no pings.

        :raises ValueError: always.
        """
        raise ValueError("ASGI leaves pings to the server: configure them there")

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        check_close(code, reason)
        if not self.protocol.open:
            return
        self.protocol.open = False
        self.protocol.close_status = (code, reason)
        try:
            await self._asgi_send({"type": "websocket.close", "code": int(code), "reason": reason})
        except Exception:  # the client has gone; each server has its own way to say so
            pass
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Stop asking the server."""
        self.protocol.open = False
        if self._asked is not None and not self._loop.is_closed():
            self._asked.cancel()

    def _disconnected(self, event: Event) -> None:
        self.protocol.open = False
        if self.protocol.close_status is None:
            code = event.get("code")
            self.protocol.close_status = (CloseReason.ABNORMAL_CLOSURE if code is None else code, event.get("reason") or None)
        self.abandon()
