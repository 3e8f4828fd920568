"""Going away: Close 1001 to everybody when a server stops, a worker is replaced or the program ends (RFC 6455 section 7.4.1).

The keepers notice most ends by themselves (stopping.py).  Any thread may call what is here; it takes the connections' own locks.
"""

from __future__ import annotations

from collections.abc import Iterable

from .keeper import all_keepers
from .stopping import at_the_end
from .sync import Connection

__all__ = ["go_away"]

# How long the end of the program may wait for the peers' answers; a connection takes a second at most.
_PATIENCE = 1.2
_LOOK = 0.01


def go_away(connections: Iterable[Connection] | None = None) -> None:
    """Send Close 1001 on open connections and return at once (RFC 6455 section 7.4.1).

    Their `receive` raises ConnectionClosed(1001) when the peer has answered, and after a second at the latest; `send` does so
    at once.  Called by the library itself when a gunicorn worker is told to stop, and when the program ends.

    :param connections: `Server` and `Client` objects.  Default ``None``: all connections of this process.
    """
    if connections is not None:
        for connection in connections:
            connection._go_away()
        return
    for keeper in all_keepers():
        for link in keeper.links:
            link.go_away()


def _at_exit() -> None:
    go_away()
    for keeper in all_keepers():
        deadline = keeper.backend.clock() + _PATIENCE
        while keeper.links and keeper.backend.clock() < deadline:
            keeper.backend.sleep(_LOOK)


at_the_end(_at_exit)
