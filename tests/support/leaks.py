"""What a process still holds: descriptors, threads, greenlets, keepers."""

from __future__ import annotations

import gc
import os
import sys
import threading
from types import FrameType
from typing import Any

#: A running keeper's selector and its two wake-up sockets.
KEEPER_FDS = 3


def descriptors() -> dict[int, str]:
    """The open descriptors, and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
    return found


def threads() -> set[int]:
    """The native threads of the Python programs in this process, whatever is monkey-patched."""
    return set(sys._current_frames())


def greenlets() -> list[Any]:
    """The greenlets that have begun and not ended, but for the current one."""
    module = sys.modules.get("greenlet")
    if module is None:
        return []
    gc.collect()
    return [
        found
        for found in gc.get_objects()
        if isinstance(found, module.greenlet) and found and not found.dead and found is not module.getcurrent()
    ]


def keepers() -> list[Any]:
    """The threads (as `threading.Thread` or a native identity) and greenlets that run a keeper."""
    known = {thread.ident: thread for thread in threading.enumerate()}
    found: list[Any] = [known.get(ident, ident) for ident, frame in sys._current_frames().items() if _keeps(frame)]
    return found + [greenlet for greenlet in greenlets() if _keeps(greenlet.gr_frame)]


def _keeps(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "_run" and frame.f_globals.get("__name__") == "simple_websocket.keeper":
            return True
        frame = frame.f_back
    return False
