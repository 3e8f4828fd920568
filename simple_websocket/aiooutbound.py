"""`AioOutbound`: the sending half of a connection on asyncio.

Everything runs in the event loop's thread.  A frame is taken whole before anything is awaited, so cancelling loses and tears
nothing.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import selector_events
from collections.abc import Callable
from typing import Any

from .aiowaiting import Waiters
from .protocol.connection import Protocol
from .protocol.masking import new_key
from .protocol.outbox import Frame, Outbox

__all__ = ["AioOutbound"]

# A large frame goes to the transport in parts of this size, as fast as the peer takes them: what the transport keeps it copies.
_PART = 256 * 1024

# Makes the frame of a small message and sends it, in C: ``(sock, data, key)``.  Returns what the socket did not take; `None` when
# nothing was sent: the socket takes nothing, or the message is none for this.
send_message: Callable[[Any, str | bytes, bytes], bytes | None] | None = None

if not os.environ.get("SIMPLE_WEBSOCKET_PURE"):
    try:
        from ._aiospeedups import send_message  # type: ignore[import-not-found, no-redef, assignment, unused-ignore]
    except ImportError:
        pass  # there was no compiler

# asyncio's own over TCP, which gives the socket what it is given: it may be gone round while it keeps nothing.
_PLAIN_TRANSPORT = getattr(selector_events, "_SelectorSocketTransport", None)


class AioOutbound:
    """Hands frames to the transport, complete and in order, from any number of tasks.

    :param protocol: the connection's state machine, of which this uses the outbound half.
    :param client: whether this side is the client, which masks what it sends.
    :param emptied: called when everything has been handed over.
    """

    __slots__ = (
        "_backlog", "_client", "_emptied", "_loop", "_outbox", "_progress", "_protocol", "_senders", "_sock", "_straight",
        "_taken", "_transport", "_written", "writable",
    )  # fmt: skip

    def __init__(self, protocol: Protocol, client: bool, emptied: Callable[[], None]) -> None:
        self._protocol = protocol
        self._client = client
        self._emptied = emptied
        self._transport: Any = None
        # The socket, when a message may be sent straight to it if nothing waits before it; and whether nothing does.
        self._sock: Any = None
        self._straight = False
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox()
        self._senders = Waiters()
        #: Whether the transport is below its high-water mark.
        self.writable = True
        # For the keepalive: what the transport got, what it had left and what the kernel had taken when that was last asked for.
        self._written = 0
        self._backlog = 0
        self._taken = 0
        self._progress = 0

    @property
    def empty(self) -> bool:
        """Whether everything has been handed over to the transport."""
        return not self._outbox

    def start(self, transport: Any) -> None:
        """Take the transport."""
        self._transport = transport
        if send_message is not None and type(transport) is _PLAIN_TRANSPORT:
            sock = transport.get_extra_info("socket")
            self._sock = getattr(sock, "_sock", sock)  # what it wraps, which is not written in Python

    def send(self, data: str | bytes) -> bool:
        """Send a small message without compression at once; return whether that was done, or it is to be written as a frame."""
        if not (self._straight or self._nothing_waits()):
            return False
        rest = send_message(self._sock, data, new_key() if self._client else b"")  # type: ignore[misc]
        if rest is None:
            return False
        if rest:
            self.write(rest)
        return True

    def _nothing_waits(self) -> bool:
        if self._sock is not None and self.writable and not self._outbox:
            self._straight = not self._transport.get_write_buffer_size()
        return self._straight

    def write(self, frame: Frame) -> None:
        """Take a frame, behind what is waiting already."""
        if not frame or self._transport is None:
            return
        if isinstance(frame, bytes):
            if self._transport.is_closing():
                return  # asyncio would log it
            if self.writable and not self._outbox:
                self._written += len(frame)
                self._straight = False
                self._transport.write(frame)
                return
        self._straight = False
        self._outbox.put(frame)
        self._pump()

    def post(self, frame: Frame) -> bool:
        """Take a frame unless the peer is slow; return whether it was taken."""
        if not self.writable or self._outbox:
            return False
        self.write(frame)
        return True

    def say_what_is_due(self) -> None:
        """Write what the protocol wants to say; while the peer takes nothing it waits there, where it is bounded."""
        if (self.writable and not self._outbox) or not self._protocol.open:
            self.write(self._protocol.data_to_send())

    async def drained(self) -> None:
        """Wait until the transport is below its mark and everything has been handed over.

        :raises ConnectionClosed: the connection was lost before.
        """
        while self._transport is not None and not (self.writable and not self._outbox):
            await self._senders.wait(self._loop)
        if self._transport is None and not self._protocol.close_received:
            raise self._protocol.closed_error()

    def resume(self) -> None:
        """Go on: the peer has taken something."""
        self.writable = True
        self._pump()

    def end(self) -> None:
        """Write nothing more: the transport is gone."""
        self._transport = None
        self._sock = None
        self._straight = False
        self._outbox.clear()
        self._senders.wake_all()

    def signs_of_life(self) -> int:
        """Count the times at which, when asked, the kernel had taken what it had no room for before: the peer has read."""
        backlog = int(self._transport.get_write_buffer_size())
        if self._backlog and self._written - backlog > self._taken:
            self._progress += 1
        self._backlog, self._taken = backlog, self._written - backlog
        return self._progress

    def _pump(self) -> None:
        outbox = self._outbox
        while outbox and self.writable and self._transport is not None:
            part = outbox.front()[:_PART]
            outbox.drop(len(part))
            self._written += len(part)
            self._transport.write(part)
        if self.writable and not outbox:
            if self._protocol.pending:
                self.say_what_is_due()
            self._emptied()
            self._senders.wake_all()
