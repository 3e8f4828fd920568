"""Masking (RFC 6455 section 5.3): payload XOR a repeated four-byte key, and where the keys come from.

Functions without state, safe from any thread.  `_speedups`, in C, has the same two where it could be built, and with them
`whole_message`, `sole_message` and `whole_frame`, which do at once what the decoder, the assembler and the encoder do with a
message that comes whole, and `PayloadBuffer`, which receives a large payload in its place; the environment variable
SIMPLE_WEBSOCKET_PURE, when it is set, keeps to Python.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["LargePayload", "PayloadBuffer", "apply_mask", "new_key", "sole_message", "unmask", "whole_frame", "whole_message"]

# Below this many bytes one big-integer XOR is faster than four table look-ups over strides (measured on CPython 3.10 - 3.13).
_SMALL = 512
_from_bytes = int.from_bytes  # looking it up would be a fifth of the cost of a short mask
_TABLES = [bytes(byte ^ key for byte in range(256)) for key in range(256)]

# Keys must be unpredictable, but need not cost a system call each: they are drawn from the operating system in batches.
_KEYS_PER_DRAW = 256
_keys: list[bytes] = []


def apply_mask(payload: bytes | memoryview, key: bytes) -> bytes:
    """Return `payload` masked (or unmasked, it is the same) with the four bytes of `key`."""
    size = len(payload)
    if size < _SMALL:
        keys = (key * ((size + 3) >> 2))[:size]
        return (_from_bytes(payload, "little") ^ _from_bytes(keys, "little")).to_bytes(size, "little")
    out = bytearray(payload)
    for offset in range(4):
        out[offset::4] = out[offset::4].translate(_TABLES[key[offset]])
    return bytes(out)


def unmask(data: bytes, start: int, end: int) -> bytes:
    """Return the payload in ``data[start:end]``, unmasked with the key in front of it."""
    return apply_mask(data[start:end], data[start - 4 : start])


#: The message at a position of received bytes, when it is whole and nothing special: ``(data, pos, mask_bit, limit)``.
whole_message: Callable[[bytes, int, int, int], str | bytes | None] | None = None
#: The message that the first bytes of a buffer are, with nothing behind it: ``(buffer, size, mask_bit, limit)``.
sole_message: Callable[[bytes | memoryview, int, int, int], str | bytes | None] | None = None
#: The frame of a message that is not large and nothing special: ``(data, key)``.
whole_frame: Callable[[str | bytes, bytes], bytes | None] | None = None
#: Room for a payload, which is written into its view and unmasked there: ``(size, key, text)``.
PayloadBuffer: Any = None

if not os.environ.get("SIMPLE_WEBSOCKET_PURE"):
    try:
        from ._speedups import (  # type: ignore[import-not-found, no-redef, assignment, unused-ignore]
            PayloadBuffer,
            apply_mask,
            sole_message,
            unmask,
            whole_frame,
            whole_message,
        )
    except ImportError:
        pass  # there was no compiler


class LargePayload:
    """A large payload that is encoded and masked part by part, so that there is never a second one of its size.

    :param data: unmasked; text has ASCII characters only.
    :param key: masking key, empty for none.
    """

    __slots__ = ("_data", "_key", "_position")

    def __init__(self, data: bytes | str, key: bytes) -> None:
        self._data = data if isinstance(data, str) else memoryview(data)
        self._key = key
        self._position = 0

    def __len__(self) -> int:
        """Return how many bytes are left."""
        return len(self._data) - self._position

    def take(self, size: int) -> memoryview:
        """Remove the next `size` bytes, a multiple of four, and return them as they are to be written."""
        part = self._data[self._position : self._position + size]
        self._position += len(part)
        data = part.encode() if isinstance(part, str) else part
        return memoryview(apply_mask(data, self._key) if self._key else data)


def new_key() -> bytes:
    """Return four fresh random bytes."""
    try:
        return _keys.pop()
    except IndexError:
        drawn = os.urandom(4 * _KEYS_PER_DRAW)
        _keys.extend(drawn[i : i + 4] for i in range(4, len(drawn), 4))
        return drawn[:4]


# A forked child must not mask with the keys its parent will use.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keys.clear)
