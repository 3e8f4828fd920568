"""Messages that have arrived and were not received yet, and how many of them may wait.

Belongs to the inbound half of a connection (read lock).
"""

from __future__ import annotations

__all__ = ["Unread"]


class Unread(list[str | bytes]):
    """Messages that were read ahead and wait to be received, with the bound at which reading ahead stops.

    :param max_messages: full with this many messages.
    :param max_bytes: full with this many bytes (characters, for text).
    """

    # A list itself, because whether it is empty is asked for with every message; an empty deque has 700 bytes.
    __slots__ = ("_max_bytes", "_max_messages", "_size", "has_room")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        super().__init__()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._size = 0
        #: Whether more may be read ahead.
        self.has_room = max_messages > 0 and max_bytes > 0

    def put(self, message: str | bytes) -> None:
        """Add a message."""
        self.append(message)
        self._size += len(message)
        self.has_room = len(self) < self._max_messages and self._size < self._max_bytes

    def put_back(self, message: str | bytes) -> None:
        """Add a message that somebody had, in front of the others."""
        self.insert(0, message)
        self._size += len(message)
        self.has_room = len(self) < self._max_messages and self._size < self._max_bytes

    def take(self) -> str | bytes | None:
        """Remove the oldest message; ``None`` when `take_late` has just had the last."""
        try:
            message = self.pop(0)
        except IndexError:
            return None
        self._size -= len(message)
        if not self.has_room:
            self.has_room = len(self) < self._max_messages and self._size < self._max_bytes
        return message

    def take_late(self) -> str | bytes | None:
        """Remove the oldest message, if there is one, once nothing is read ahead any more: the one thing that needs no lock."""
        try:
            return self.pop(0)
        except IndexError:
            return None
