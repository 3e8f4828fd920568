"""The control frames of a connection that wait for something (RFC 6455 section 5.5).

Two threads may use each of them at a time: appending to a list and taking from it are atomic.  Lists, here and wherever a queue
is short: an empty deque has 700 bytes.
"""

from __future__ import annotations

__all__ = ["Answers", "Pings"]

# Pings that were not answered yet are answered latest first when there are more than this many; a peer that pings faster
# than it reads cannot make us remember more (section 5.5.3 allows to answer the latest only).
_MAX_ANSWERS = 64

# Unanswered pings whose time is remembered, for the latency.
_MAX_PINGS = 16


class Answers(list[tuple[int, bytes]]):
    """Opcodes and payloads of the frames to send; the oldest gives way."""

    __slots__ = ()

    def put(self, opcode: int, payload: bytes) -> None:
        """Add one."""
        self.append((opcode, payload))
        while len(self) > _MAX_ANSWERS:
            del self[:1]

    def take(self) -> tuple[int, bytes] | None:
        """Remove the oldest."""
        try:
            return self.pop(0)
        except IndexError:
            return None


class Pings(list[tuple[bytes, float]]):
    """Payloads of the pings that were sent, and when."""

    __slots__ = ()

    def put(self, payload: bytes, now: float) -> None:
        """Add one."""
        self.append((payload, now))
        del self[:-_MAX_PINGS]

    def answered(self, payload: bytes) -> float | None:
        """Return when the ping of this payload was sent; earlier ones need no answer of their own (section 5.5.3)."""
        for index, (sent, when) in enumerate(list(self)):
            if sent == payload:
                del self[: index + 1]
                return when
        return None
