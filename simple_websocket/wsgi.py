"""WSGI servers: how to find the connection's socket in an environ, and how a request ends.

One function for each server returns what it `Found`, or ``None`` when the environ is another server's.  Every request ends the
same way: the socket is shut down and stays open, so that whatever the application returns goes nowhere.  What a server needs
besides is done by its `Found.accepted`.

Called in the request's own thread or greenlet; no lock.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from . import stopping
from .errors import ConnectionError

__all__ = ["Found", "find_socket", "own_socket", "request_parts"]

Environ = dict[str, Any]


class Found(NamedTuple):
    """A WSGI request's connection."""

    #: The socket to use.
    sock: Any
    #: What the server has read past the request.
    leftover: bytes = b""
    #: The server's name, or that of the one whose requests end in the same way; as `Server.mode` shows it.
    mode: str = "custom"
    #: Whether the object is the server's own, which goes on with it when the request ends.
    servers_own: bool = False
    #: The backend that the server runs on, where that cannot be told from the socket.
    backend: str | None = None
    #: Whether to close the descriptor at the end: it is a copy.
    copied: bool = False
    #: To be called in the request's thread or greenlet once the connection is accepted.
    accepted: Callable[[], None] = lambda: None


def find_socket(environ: Environ) -> Found:
    """Return the connection of a WSGI request.

    :param environ: the WSGI environ.
    :raises ConnectionError: the server's socket cannot be reached (status 500).
    """
    for entry in ENTRIES:
        found = entry(environ)
        if found is not None and found.sock is not None:
            return found
    raise ConnectionError(500, detail=_advice(environ))


def own_socket(environ: Environ, sock: Any) -> Found:
    """Return the connection on the application's own socket; ``wsgi.input`` may have read more from it than the request."""
    return Found(sock, _buffered(sock, environ.get("wsgi.input")))


def _advice(environ: Environ) -> str:
    """Say what works instead of this server."""
    for module, name in REFUSED.items():
        if module in sys.modules:
            return f"{name} does not let an application have the connection's socket; {_WORKING}; {_ASGI}"
    server = environ.get("SERVER_SOFTWARE") or type(environ.get("wsgi.input")).__module__
    return (
        f"cannot find the connection's socket in the environ of this web server ({server}); {_WORKING}; with another one "
        f"pass the connected socket as sock=; {_ASGI}"
    )


_WORKING = (
    "these servers work: Werkzeug (flask run), gunicorn with the workers sync, gthread, gevent, gevent_pywsgi (and eventlet "
    "before gunicorn 26), gevent.pywsgi, eventlet.wsgi, wsgiref, waitress, cheroot, uWSGI, and simple_websocket.serve()"
)
_ASGI = (
    "on an ASGI server (uvicorn, Hypercorn, granian --interface asgi, daphne, gunicorn -k asgi) use "
    "`ws = await simple_websocket.AioServer.accept(asgi=(scope, receive, send))`"
)

# One function for each server.


def _werkzeug(environ: Environ) -> Found | None:
    sock = environ.get("werkzeug.socket")
    if sock is None:
        return None
    _watch_socketserver()
    return _servers_own("werkzeug", sock, environ.get("wsgi.input"))


def _watch_socketserver() -> None:
    """Learn when a server of the standard library's kind has left its loop: handlers may outlive that."""
    handler = _running("handle_one_request")
    if handler is not None and hasattr(handler.server, "_BaseServer__is_shut_down"):
        stopping.add_sign(handler.server, lambda server: bool(server._BaseServer__is_shut_down.is_set()))


def _gunicorn(environ: Environ) -> Found | None:
    sock = environ.get("gunicorn.socket")
    if sock is None:
        return None
    unreader: Any = getattr(getattr(environ.get("wsgi.input"), "reader", None), "unreader", None)
    leftover = b""
    if hasattr(unreader, "take_buffered"):
        leftover = bytes(unreader.take_buffered())
    elif unreader is not None:  # before gunicorn 27
        leftover = unreader.buf.getvalue()
        unreader.buf.seek(0)
        unreader.buf.truncate()
    return Found(sock, leftover, "gunicorn", servers_own=True)


def _eventlet(environ: Environ) -> Found | None:
    source = environ.get("eventlet.input")
    if source is None:
        return None
    return _servers_own("eventlet", source.get_socket(), source.rfile, _eventlet_accepted)


def _eventlet_accepted() -> None:
    # eventlet.wsgi writes a response of its own unless the handler's greenlet says that there was one.
    sys.modules["eventlet.wsgi"].WSGI_LOCAL.already_handled = True
    _watch_eventlet_pool()


def _watch_eventlet_pool() -> None:
    """Learn when eventlet.wsgi stops: it tells nobody, and waits until the pool that runs its handlers is empty."""
    handler = sys.modules["eventlet"].getcurrent()
    for function, *_ in getattr(handler, "_exit_funcs", None) or ():
        pool = getattr(function, "__self__", None)
        if hasattr(pool, "no_coros_running"):
            stopping.add_sign(pool, lambda pool: bool(getattr(pool.no_coros_running, "_waiters", ())))


def _pywsgi(environ: Environ) -> Found | None:
    """gevent.pywsgi, also as gunicorn's gevent_pywsgi worker runs it: ``wsgi.input`` reads from a gevent socket."""
    source = environ.get("wsgi.input")
    reader = getattr(source, "rfile", source)  # the reader itself, once the request asks for an upgrade
    sock = environ.get("gunicorn.sock") or getattr(getattr(reader, "raw", None), "_sock", None)
    if not type(sock).__module__.startswith("gevent."):
        return None
    return _servers_own("gevent", sock, reader, _pywsgi_accepted)


def _pywsgi_accepted() -> None:
    # For applications that return without having called start_response: nothing more is read, and gunicorn can write its log.
    handler = _running("close_connection")
    if handler is not None:
        handler.close_connection = True
        handler.response_headers = handler.response_headers or []


def _running(attribute: str) -> Any:
    """Return the server's object with this attribute whose method runs the application."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        found = frame.f_locals.get("self")
        if hasattr(found, attribute):
            return found
    return None


def _waitress(environ: Environ) -> Found | None:
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    if channel is None:
        return None
    following, channel.request = channel.request, None  # what came behind the request was taken for the next one
    stopping.add_sign(channel.server.task_dispatcher, lambda dispatcher: bool(dispatcher.stop_count))
    return Found(channel.socket, bytes(getattr(following, "header_plus", b"")), _LIKE_WERKZEUG, servers_own=True)


def _uwsgi(environ: Environ) -> Found | None:
    """uWSGI has no socket object, only a descriptor, and ends the request with it; it gets a dead one instead."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or "uwsgi.version" not in environ:
        return None
    number = uwsgi.connection_fd()
    sock = socket.socket(fileno=os.dup(number))

    def accepted() -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, number)
        os.close(nowhere)

    if b"https-socket" in uwsgi.opt or "https-socket" in uwsgi.opt:
        sock.close()
        raise ConnectionError(500, detail="uWSGI keeps the TLS of its https-socket to itself; end TLS in its http router")
    if not getattr(uwsgi, "atexit", None):
        uwsgi.atexit = stopping.say_so  # called in a worker that ends
    backend = "gevent" if b"gevent" in uwsgi.opt or "gevent" in uwsgi.opt else None
    return Found(sock, mode="uwsgi", copied=True, backend=backend, accepted=accepted)


def _cheroot(environ: Environ) -> Found | None:
    source = environ.get("wsgi.input")
    if not type(source).__module__.startswith("cheroot."):
        return None
    reader = getattr(source, "rfile", None)
    gateway = _running("req")
    if gateway is not None:
        stopping.add_sign(gateway.req.server, lambda server: not server.ready)
    return _servers_own(_LIKE_WERKZEUG, getattr(getattr(reader, "raw", None), "_sock", None), reader)


def _wsgiref(environ: Environ) -> Found | None:
    """wsgiref, and every other server whose ``wsgi.input`` is a buffered reader of the socket."""
    reader = environ.get("wsgi.input")
    sock = getattr(getattr(reader, "raw", None), "_sock", None)
    if not isinstance(sock, socket.socket):
        return None
    _watch_socketserver()
    return _servers_own(_LIKE_WERKZEUG, sock, reader)


# What an extension for Flask does at the end of a request depends on `Server.mode`: with these servers, as with Werkzeug,
# it has to return a response as usual.
_LIKE_WERKZEUG = "werkzeug"

ENTRIES = (_werkzeug, _gunicorn, _eventlet, _pywsgi, _waitress, _uwsgi, _cheroot, _wsgiref)

# Modules that tell that a server runs which keeps its sockets to itself.
REFUSED = {
    "granian": "granian's WSGI interface",
    "gunicorn.workers.gtornado": "gunicorn's tornado worker",
    "_bjoern": "bjoern",
}


def _servers_own(mode: str, sock: Any, reader: Any, accepted: Callable[[], None] = lambda: None) -> Found | None:
    if sock is None:
        return None
    return Found(sock, _buffered(sock, reader), mode, servers_own=True, accepted=accepted)


def _buffered(sock: Any, reader: Any) -> bytes:
    """Return what a buffered reader has read from a socket and nobody has taken; never waits for more."""
    peek = getattr(reader, "peek", None)
    if peek is None:
        return b""
    timeout = sock.gettimeout()
    sock.setblocking(False)  # an empty buffer makes peek read
    try:
        return bytes(reader.read1(len(peek())))  # taken, so that it is not read as another request
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
