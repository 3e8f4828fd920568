"""Random mutation of inputs, for where atheris cannot be had.  It sees no coverage; an input with a new outcome is kept."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

#: Bytes that mean something in a frame's header, in its length, in UTF-8 or in a deflate stream.
_TELLING = bytes(
    [0, 1, 2, 8, 9, 10, 0x41, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0x82, 0x88, 0x89, 0xC1, 0xC2, 0xED, 0xF4, 0xFE, 0xFF, 13, 10]
)
_LONGEST = 4096
_MOST_KEPT = 2000


def mutated(chance: random.Random, data: bytes, other: bytes) -> bytes:
    """The input with one to six changes; `other` is one to take a part from."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randint(0, len(out))
        kind = chance.randrange(8)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = chance.choice(_TELLING)
        elif kind == 2 and at < len(out):
            out[at] = chance.randrange(256)
        elif kind == 3:
            out[at:at] = chance.randbytes(chance.randint(1, 8))
        elif kind == 4:
            del out[at : at + chance.randint(1, 16)]
        elif kind == 5:
            out[at:at] = out[at : at + chance.randint(1, 64)]
        elif kind == 6:
            start = chance.randint(0, len(other))
            out[at:at] = other[start : start + chance.randint(1, 128)]
        elif kind == 7:
            del out[at:]
            out += other[chance.randint(0, len(other)) :]
    return bytes(out[:_LONGEST])


def fuzz(call: Callable[[bytes], str], seeds: Sequence[bytes], seconds: float, seed: int, watch: Callable[[bytes], None]) -> int:
    """Call with mutations of the seeds until the time is up; return how many there were.

    :param watch: is told of each input before it is tried.
    """
    chance = random.Random(seed)
    pool, outcomes, number = list(seeds) or [b""], set[str](), 0
    by = time.monotonic() + seconds
    while time.monotonic() < by:
        number += 1
        data = pool[number - 1] if number <= len(seeds) else mutated(chance, chance.choice(pool), chance.choice(pool))
        watch(data)
        outcome = call(data)
        if outcome not in outcomes and len(pool) < _MOST_KEPT:
            outcomes.add(outcome)
            pool.append(data)
    return number
