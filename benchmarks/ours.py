"""Subjects that are this library: `Server` on a socket of one's own, so that no web server is measured with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import simple_websocket
from simple_websocket import Server

from . import accept
from .orders import Setup
from .request import environ_of
from .wire import BROADCAST

__all__ = ["eventlet", "gevent", "handler", "talk", "threads"]

_MESSAGE = BROADCAST[4:].decode()


def handler(setup: Setup) -> accept.Handler:
    """Return what serves one connection."""
    members: set[Any] = set()

    def serve(sock: Any, address: object) -> None:
        environ = environ_of(sock)
        if environ is not None:
            with Server.accept(environ, sock=sock, ping_interval=setup.orders.ping_interval) as ws:
                talk(ws, members, setup)

    return serve


def talk(ws: Any, members: set[Any], setup: Setup) -> None:
    """Do what the role is, until the connection ends."""
    if not setup.broadcasts:
        for message in ws:
            ws.send(message)
        return
    send_to_all = getattr(simple_websocket, "broadcast", None) if setup.orders.helper else None
    members.add(ws)
    try:
        for _ in ws:
            (send_to_all or _send_to_each)(list(members), _MESSAGE)
    finally:
        members.discard(ws)


def _send_to_each(members: Iterable[Any], message: str) -> None:
    for member in members:
        member.send(message)


def threads(setup: Setup) -> None:
    """On native threads."""
    accept.on_threads(handler(setup), setup)


def gevent(setup: Setup) -> None:
    """On gevent; the socket says so."""
    accept.on_gevent(handler(setup), setup)


def eventlet(setup: Setup) -> None:
    """On eventlet; the socket says so."""
    accept.on_eventlet(handler(setup), setup)
