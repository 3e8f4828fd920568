"""Subjects that are this library: `Server` on a socket of one's own, so that no web server is measured with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simple_websocket import Server

from . import accept

__all__ = ["eventlet", "gevent", "threads"]

_READ = 4096


def _echo(sock: Any, address: object) -> None:
    environ = _environ(sock)
    if environ is None:
        return
    with Server.accept(environ, sock=sock) as ws:
        for message in ws:
            ws.send(message)


def _environ(sock: Any) -> dict[str, str] | None:
    """Return the WSGI environ of the request that the socket brings, as far as the library looks at it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(_READ)
        if not data:
            return None
        head += data
    request, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, target, _ = request.split(" ")
    environ = {"REQUEST_METHOD": method, "PATH_INFO": target}
    for line in lines:
        name, _, value = line.partition(":")
        environ["HTTP_" + name.upper().replace("-", "_")] = value.strip()
    return environ


def threads(listening: Callable[[int], None]) -> None:
    """On native threads."""
    accept.on_threads(_echo, listening)


def gevent(listening: Callable[[int], None]) -> None:
    """On gevent; the socket says so."""
    accept.on_gevent(_echo, listening)


def eventlet(listening: Callable[[int], None]) -> None:
    """On eventlet; the socket says so."""
    accept.on_eventlet(_echo, listening)
