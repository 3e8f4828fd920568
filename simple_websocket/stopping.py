"""Signs that this process, or the web server in it, is about to stop.

Nothing here changes how the process handles signals or ends: it only looks.  Called by the keepers now and then; `_signs` is
written by the threads that accept connections, and a dictionary's methods are atomic.
"""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["add_sign", "at_the_end", "say_so", "told_to_stop"]

_at_the_end: list[Callable[[], None]] = []
_signs: WeakKeyDictionary[Any, Callable[[Any], bool]] = WeakKeyDictionary()


def add_sign(server: Any, stops: Callable[[Any], bool]) -> None:
    """Ask `stops(server)` from now on, for as long as there is the server."""
    _signs.setdefault(server, stops)


def at_the_end(action: Callable[[], None]) -> None:
    """Have `action()` called when the process ends, or a server that knows says so."""
    _at_the_end.append(action)
    atexit.register(action)


def say_so() -> None:
    """Do now what is to be done at the end."""
    for action in _at_the_end:
        action()


def told_to_stop() -> bool:
    """Whether the process or the web server was told to stop."""
    return _worker_stops() or any(stops(server) for server, stops in list(_signs.items()))


def _worker_stops() -> bool:
    """A gunicorn worker's signal handlers are its methods, and `alive` says whether it is to go on."""
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return type(worker).__module__.startswith("gunicorn.") and not getattr(worker, "alive", True)
