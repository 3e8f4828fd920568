"""The smallest accepting server on each backend, for subjects that bring none of their own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["BACKLOG", "HOST", "on_eventlet", "on_gevent", "on_threads"]

HOST = "127.0.0.1"
BACKLOG = 1024

#: Called with a connection's socket and address, in a thread or greenlet of its own; the socket is closed afterwards.
Handler = Callable[[Any, Any], None]
Listening = Callable[[int], None]


def on_threads(handler: Handler, listening: Listening) -> None:
    """Serve for ever with one native thread for each connection."""

    def serve(sock: socket.socket, address: Any) -> None:
        with sock:
            handler(sock, address)

    listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    listening(listener.getsockname()[1])
    while True:
        threading.Thread(target=serve, args=listener.accept(), daemon=True).start()


def on_gevent(handler: Handler, listening: Listening) -> None:
    """Serve for ever with gevent's `StreamServer`, which closes the sockets."""
    from gevent.server import StreamServer

    server = StreamServer((HOST, 0), handler, backlog=BACKLOG)
    server.start()
    listening(server.server_port)
    server.serve_forever()


def on_eventlet(handler: Handler, listening: Listening) -> None:
    """Serve for ever with one green thread for each connection."""
    import eventlet

    def serve(sock: Any, address: Any) -> None:
        try:
            handler(sock, address)
        finally:
            sock.close()

    listener = eventlet.listen((HOST, 0), backlog=BACKLOG)
    listening(listener.getsockname()[1])
    while True:
        eventlet.spawn_n(serve, *listener.accept())
