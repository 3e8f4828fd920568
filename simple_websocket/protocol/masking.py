"""Masking (RFC 6455 section 5.3): payload XOR a repeated four-byte key, and where the keys come from.

Pure functions; safe from any thread.
"""

from __future__ import annotations

import os

__all__ = ["apply_mask", "new_key"]

# Below this many bytes one big-integer XOR is faster than four table look-ups over strides (measured on CPython 3.10 - 3.13).
_SMALL = 512
_from_bytes = int.from_bytes  # looking it up would be a fifth of the cost of a short mask
_TABLES = [bytes(byte ^ key for byte in range(256)) for key in range(256)]

# Keys must be unpredictable, but need not cost a system call each: they are drawn from the operating system in batches.
_KEYS_PER_DRAW = 256
_keys: list[bytes] = []


def apply_mask(payload: bytes, key: bytes) -> bytes:
    """Return `payload` masked (or unmasked, it is the same) with the four bytes of `key`."""
    size = len(payload)
    if size < _SMALL:
        keys = (key * ((size + 3) >> 2))[:size]
        return (_from_bytes(payload, "little") ^ _from_bytes(keys, "little")).to_bytes(size, "little")
    out = bytearray(payload)
    for offset in range(4):
        out[offset::4] = out[offset::4].translate(_TABLES[key[offset]])
    return bytes(out)


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
