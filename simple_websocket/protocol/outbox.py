"""`Outbox`: frames that wait to be written, or the rest of one.

Belongs to the outbound half of a connection (write lock); whether it is empty may be asked by anybody.
"""

from __future__ import annotations

from .masking import LargePayload

__all__ = ["Frame", "Outbox"]

#: What to write: bytes, or header and payload apart.
Frame = bytes | tuple[bytes, bytes | LargePayload]

# How much of a large payload is encoded and masked at a time.
_PART = 256 * 1024


class Outbox(list[memoryview | LargePayload]):
    """Frames that wait to be written, in order."""

    # A list itself, because whether it is empty is asked for with every message.
    __slots__ = ()

    def put(self, frame: Frame) -> None:
        """Add a frame behind the others."""
        for part in (frame,) if isinstance(frame, bytes) else frame:
            if len(part):
                self.append(memoryview(part) if isinstance(part, bytes) else part)

    def front(self) -> memoryview:
        """Return what is to be written next; there is something."""
        part = self[0]
        if isinstance(part, memoryview):
            return part
        ready = part.take(_PART)
        self[:1] = [ready, part] if len(part) else [ready]
        return ready

    def drop(self, size: int) -> None:
        """Remove `size` bytes of what is in front, which have been written."""
        part = self[0]
        assert isinstance(part, memoryview)  # made by `front`
        if size == len(part):
            del self[0]
        else:
            self[0] = part[size:]
