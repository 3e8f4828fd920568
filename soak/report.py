"""What a process holds, before and after; and how a part of the soak tells what it found."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support import leaks
from tests.support.memory import MIB, resident

__all__ = ["Finding", "Held", "say"]

#: Resident memory that may be more afterwards: what the allocator cannot give back, and the interpreter's own caches.
RSS_ALLOWANCE = 6 * MIB
#: Until the last keeper has ended and the last peer's socket is closed.
PATIENCE = 15.0

# Of glibc: gives back to the system what is free, which is no leak.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def say(line: str) -> None:
    """Tell a person."""
    print(line, flush=True)


@dataclass
class Finding:
    """What one part found.

    :param part: its name.
    :param figures: what was measured.
    :param troubles: what must not be; empty when all is well.
    """

    part: str
    figures: dict[str, Any] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    def tell(self) -> None:
        """Print it, for a person and for ``__main__``."""
        print("FOUND " + json.dumps(vars(self)), flush=True)


@dataclass(frozen=True)
class Held:
    """Descriptors, threads, greenlets and resident bytes of this process."""

    descriptors: int
    threads: int
    greenlets: int
    rss: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        if _malloc_trim is not None:
            _malloc_trim(0)
        return cls(len(os.listdir("/proc/self/fd")), len(leaks.threads()), len(leaks.greenlets()), resident()[0])

    def troubles(self, before: Held) -> list[str]:
        """Say what is more than it was."""
        found = [
            f"{name}: {getattr(before, name)} before, {getattr(self, name)} after"
            for name in ("descriptors", "threads", "greenlets")
            if getattr(self, name) > getattr(before, name)
        ]
        if self.rss > before.rss + RSS_ALLOWANCE:
            found.append(f"resident: {before.rss / MIB:.1f} MiB before, {self.rss / MIB:.1f} after")
        return found

    @classmethod
    def settled(cls, before: Held, sleep: Any) -> Held:
        """Wait until nothing is more than it was, and return what there is, also when that does not happen."""
        deadline = time.monotonic() + PATIENCE
        while (now := cls.now()).troubles(before) and time.monotonic() < deadline:
            sleep(0.2)
        return now

    def figures(self, before: Held) -> dict[str, Any]:
        return {
            "descriptors": f"{before.descriptors} -> {self.descriptors}",
            "threads": f"{before.threads} -> {self.threads}",
            "greenlets": f"{before.greenlets} -> {self.greenlets}",
            "MiB": f"{before.rss / MIB:.1f} -> {self.rss / MIB:.1f}",
        }
