"""Subjects without a library: ``recv`` and ``sendall``, the least that an echo can cost on threads, gevent and eventlet.

They echo as many bytes as a frame of the case has.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from . import accept

__all__ = ["eventlet", "gevent", "threads"]

_READ = 4096


def _echo(sock: Any, address: object) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while data := sock.recv(_READ):
            sock.sendall(data)
    except ConnectionError:
        pass  # the load generator has what it wanted


def threads(listening: Callable[[int], None]) -> None:
    """One native thread for each connection."""
    accept.on_threads(_echo, listening)


def gevent(listening: Callable[[int], None]) -> None:
    """One greenlet for each connection, of gevent's `StreamServer`."""
    accept.on_gevent(_echo, listening)


def eventlet(listening: Callable[[int], None]) -> None:
    """One green thread for each connection."""
    accept.on_eventlet(_echo, listening)
