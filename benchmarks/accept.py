"""The smallest accepting server on each backend, for subjects that bring none of their own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from .orders import BACKLOG, Setup

__all__ = ["on_eventlet", "on_gevent", "on_threads"]

#: Called with a connection's socket and address, in a thread or greenlet of its own; the socket is closed afterwards.
Handler = Callable[[Any, Any], None]


def on_threads(handler: Handler, setup: Setup) -> None:
    """Serve for ever with one native thread for each connection."""
    tls = setup.tls()

    def serve(sock: socket.socket, address: Any) -> None:
        with sock if tls is None else tls.wrap_socket(sock, server_side=True) as wrapped:
            handler(wrapped, address)

    setup.ready()
    while True:
        threading.Thread(target=serve, args=setup.listener.accept(), daemon=True).start()


def on_gevent(handler: Handler, setup: Setup) -> None:
    """Serve for ever with gevent's `StreamServer`, which closes the sockets."""
    from gevent import ssl as green_ssl
    from gevent.server import StreamServer

    tls = setup.tls(green_ssl)
    StreamServer(green(setup), handler, **({} if tls is None else {"ssl_context": tls})).start()
    serve_for_ever(setup)


def green(setup: Setup) -> Any:
    """Return the listening socket as gevent's."""
    import gevent.socket

    return gevent.socket.socket(fileno=setup.listener.detach())


def serve_for_ever(setup: Setup) -> None:
    """Let gevent's servers serve."""
    import gevent.event

    setup.ready()
    gevent.event.Event().wait()


def on_eventlet(handler: Handler, setup: Setup) -> None:
    """Serve for ever with one green thread for each connection."""
    import eventlet

    def serve(sock: Any, address: Any) -> None:
        try:
            handler(sock, address)
        finally:
            sock.close()

    listener = eventlet_listener(setup)
    setup.ready()
    while True:
        eventlet.spawn_n(serve, *listener.accept())


def eventlet_listener(setup: Setup) -> Any:
    """Return the listening socket as eventlet's, with TLS if that is wanted."""
    import eventlet
    from eventlet.green import socket as green_socket

    listener = green_socket.socket(fileno=setup.listener.detach())
    listener.listen(BACKLOG)
    if setup.orders.mode != "tls":
        return listener
    return eventlet.wrap_ssl(listener, certfile=setup.orders.certificate, keyfile=setup.orders.certificate, server_side=True)
