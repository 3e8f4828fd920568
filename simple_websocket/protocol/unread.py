"""Messages that have arrived and were not received yet, and how many of them may wait.

Belongs to the inbound half of a connection (read lock).
"""

from __future__ import annotations

from collections import deque

__all__ = ["Unread"]


class Unread:
    """Messages that were read ahead and wait to be received, with the bound at which reading ahead stops.

    :param max_messages: full with this many messages.
    :param max_bytes: full with this many bytes (characters, for text).
    """

    __slots__ = ("_max_bytes", "_max_messages", "_messages", "_size")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages: deque[str | bytes] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def has_room(self) -> bool:
        """Whether more may be read ahead."""
        return len(self._messages) < self._max_messages and self._size < self._max_bytes

    def put(self, message: str | bytes) -> None:
        """Add a message."""
        self._messages.append(message)
        self._size += len(message)

    def take(self) -> str | bytes:
        """Remove the oldest message."""
        message = self._messages.popleft()
        self._size -= len(message)
        return message
