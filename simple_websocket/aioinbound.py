"""`AioInbound`: what an asyncio connection has received and not decoded yet, and whether its transport goes on reading.

Everything runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["TURN", "AioInbound", "buffer_of"]

#: How much is decoded before the event loop has its turn, unless it is all one payload: tiny frames take 4 ms then.
TURN = 16 * 1024

_BUFFER = 512 * 1024

# Of each event loop, shared by its connections: a loop fills it and calls `buffer_updated` in one go.  A buffer that asyncio
# makes for every read has 256 KiB, which the allocator keeps giving back to the system and faulting in again: twice the CPU.
_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = WeakKeyDictionary()


def buffer_of(loop: asyncio.AbstractEventLoop) -> memoryview:
    """Return the buffer that the connections of a loop read into."""
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(_BUFFER))
    return buffer


class AioInbound:
    """What has been received and not decoded yet."""

    __slots__ = ("_transport", "reading", "rest")

    def __init__(self) -> None:
        self._transport: Any = None
        #: What has been received and not been taken.
        self.rest: memoryview | None = None
        #: Whether the transport reads.
        self.reading = True

    def start(self, transport: Any) -> None:
        """Take the transport."""
        self._transport = transport
        self.reading = transport.is_reading()

    def read_on(self, reading: bool) -> None:
        """Have the transport read, or not."""
        if reading is not self.reading:
            self.reading = reading
            if self._transport is not None:
                (self._transport.resume_reading if reading else self._transport.pause_reading)()

    def end(self) -> None:
        """The transport is gone."""
        self._transport = None

    def put(self, data: bytes) -> None:
        """Keep more than one turn is for; there is nothing here, as the transport does not read meanwhile."""
        self.rest = memoryview(data)

    def take(self, size: int | None = None) -> bytes:
        """Remove the oldest bytes: `size`, or all."""
        rest = self.rest
        if rest is None:
            return b""
        part = rest if size is None else rest[:size]
        self.rest = rest[len(part) :] or None
        return bytes(part)
