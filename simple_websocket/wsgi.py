"""WSGI servers: how to find the connection's socket in an environ, and how a request ends.

One entry for each server: `Entry.find` returns the socket and the bytes that were read past the request, or ``None`` when the
environ is another server's.  Every request ends the same way (the socket is shut down and stays open, so that whatever the
application returns goes nowhere) but for what `Entry.accepted` does.

Called in the request's own thread or greenlet; no lock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from .errors import ConnectionError

__all__ = ["Found", "find_socket", "request_parts"]

Environ = dict[str, Any]


class Found(NamedTuple):
    """A WSGI request's connection."""

    #: The server's socket.
    sock: Any
    #: What the server has read past the request.
    leftover: bytes = b""
    #: The server's name, as `Server.mode` shows it.
    mode: str = "custom"
    #: To be called in the request's thread or greenlet once the connection is accepted.
    accepted: Callable[[], None] = lambda: None


class Entry(NamedTuple):
    """What is particular about one server."""

    mode: str
    find: Callable[[Environ], tuple[Any, bytes] | None]
    accepted: Callable[[], None] = lambda: None


def find_socket(environ: Environ) -> Found:
    """Return the connection of a WSGI request.

    :param environ: the WSGI environ.
    :raises ConnectionError: the server's socket cannot be reached (status 500).
    """
    for entry in ENTRIES:
        found = entry.find(environ)
        if found is not None and found[0] is not None:
            return Found(*found, entry.mode, entry.accepted)
    server = environ.get("SERVER_SOFTWARE") or type(environ.get("wsgi.input")).__module__
    raise ConnectionError(
        500,
        detail=f"cannot find the connection's socket in the environ of this web server ({server}); "
        "these work: Werkzeug, gunicorn (workers sync, gthread, gevent, gevent_pywsgi, and eventlet before gunicorn 26), "
        "gevent.pywsgi, eventlet.wsgi; with another one pass the connected socket as sock=",
    )


def _werkzeug(environ: Environ) -> tuple[Any, bytes] | None:
    sock = environ.get("werkzeug.socket")
    return None if sock is None else (sock, _buffered(sock, environ.get("wsgi.input")))


def _gunicorn(environ: Environ) -> tuple[Any, bytes] | None:
    sock = environ.get("gunicorn.socket")
    if sock is None:
        return None
    unreader = getattr(getattr(environ.get("wsgi.input"), "reader", None), "unreader", None)
    if unreader is None:
        return sock, b""
    if hasattr(unreader, "take_buffered"):
        return sock, bytes(unreader.take_buffered())
    leftover = unreader.buf.getvalue()  # before gunicorn 27
    unreader.buf.seek(0)
    unreader.buf.truncate()
    return sock, leftover


def _pywsgi(environ: Environ) -> tuple[Any, bytes] | None:
    """gevent.pywsgi, also as gunicorn's gevent_pywsgi worker runs it: ``wsgi.input`` reads from a gevent socket."""
    source = environ.get("wsgi.input")
    reader = getattr(source, "rfile", source)  # the reader itself, once the request asks for an upgrade
    sock = environ.get("gunicorn.sock") or getattr(getattr(reader, "raw", None), "_sock", None)
    if not type(sock).__module__.startswith("gevent."):
        return None
    return sock, _buffered(sock, reader)


def _eventlet(environ: Environ) -> tuple[Any, bytes] | None:
    source = environ.get("eventlet.input")
    if source is None:
        return None
    sock = source.get_socket()
    return sock, _buffered(sock, source.rfile)


def _eventlet_accepted() -> None:
    # eventlet.wsgi writes a response of its own unless the handler's greenlet says that there was one.
    sys.modules["eventlet.wsgi"].WSGI_LOCAL.already_handled = True


ENTRIES = (
    Entry("werkzeug", _werkzeug),
    Entry("gunicorn", _gunicorn),
    Entry("eventlet", _eventlet, _eventlet_accepted),
    Entry("gevent", _pywsgi),
)


def _buffered(sock: Any, reader: Any) -> bytes:
    """Return what a buffered reader has read from a socket and nobody has taken; never waits for more."""
    peek = getattr(reader, "peek", None)
    if peek is None:
        return b""
    timeout = sock.gettimeout()
    sock.setblocking(False)  # an empty buffer makes peek read
    try:
        return bytes(peek())
    except OSError:
        return b""
    finally:
        sock.setblocking(True)
        if timeout is not None:
            sock.settimeout(timeout)


def request_parts(environ: Environ) -> tuple[str, str, list[tuple[str, str]]]:
    """Return the request's method, its target (PEP 3333, URL reconstruction) and its headers, as far as WSGI has kept them."""
    path = quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), safe=_SAFE, encoding="latin-1") or "/"
    query = quote(environ.get("QUERY_STRING", ""), safe=_SAFE + "?%", encoding="latin-1")
    headers = [(name[5:].replace("_", "-").title(), value) for name, value in environ.items() if name.startswith("HTTP_")]
    return environ.get("REQUEST_METHOD", ""), f"{path}?{query}" if query else path, headers


_SAFE = "/;=,@:!$&'()*+~"
