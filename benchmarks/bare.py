"""Subjects without a library: the least that an echo can cost on each backend.

They echo whatever bytes come, frames of WebSocket as they are; a broadcast is one ``send`` for each connection of a frame
that was made before.
"""

from __future__ import annotations

import asyncio
from typing import Any

from . import accept
from .orders import Setup
from .wire import BROADCAST

__all__ = ["eventlet", "gevent", "on_asyncio", "threads"]

_READ = 64 * 1024


def _handler(setup: Setup) -> accept.Handler:
    members: set[Any] = set()

    def echo(sock: Any, address: object) -> None:
        try:
            while data := sock.recv(_READ):
                sock.sendall(data)
        except OSError:
            pass  # the load generator has what it wanted

    def broadcast(sock: Any, address: object) -> None:
        members.add(sock)
        try:
            while sock.recv(_READ):
                for member in list(members):
                    member.send(BROADCAST)
        except OSError:
            pass  # as above
        finally:
            members.discard(sock)

    return broadcast if setup.broadcasts else echo


def threads(setup: Setup) -> None:
    """One native thread for each connection."""
    accept.on_threads(_handler(setup), setup)


def gevent(setup: Setup) -> None:
    """One greenlet for each connection, of gevent's `StreamServer`."""
    accept.on_gevent(_handler(setup), setup)


def eventlet(setup: Setup) -> None:
    """One green thread for each connection."""
    accept.on_eventlet(_handler(setup), setup)


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class _Room(asyncio.Protocol):
    members: set[Any] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.members.add(transport)

    def data_received(self, data: bytes) -> None:
        for member in self.members:
            member.write(BROADCAST)

    def connection_lost(self, error: Exception | None) -> None:
        self.members.discard(self._transport)


def on_asyncio(setup: Setup) -> None:
    """`asyncio.Protocol`."""

    async def serve() -> None:
        kind = _Room if setup.broadcasts else _Echo
        server = await asyncio.get_running_loop().create_server(kind, sock=setup.listener, ssl=setup.tls())
        setup.ready()
        await server.serve_forever()

    asyncio.run(serve())
