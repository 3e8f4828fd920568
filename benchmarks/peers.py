"""Subjects that are other libraries for threads, gevent and eventlet, each as its documentation says.

Keepalive is off unless the orders say otherwise, as it is for ours; compression is each library's own default, and unused
unless the client offers it.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import Any

from . import accept
from .orders import Setup
from .request import environ_of
from .wire import BROADCAST

__all__ = ["eventlet_websocket", "first_releases", "first_releases_gevent", "gevent_websocket", "websockets_sync"]

_MESSAGE = BROADCAST[4:].decode()


def websockets_sync(setup: Setup) -> None:
    """``websockets.sync.server``: native threads."""
    from websockets.sync.server import serve

    def echo(ws: Any) -> None:
        for message in ws:
            ws.send(message)

    compression = "deflate" if setup.deflate else None
    interval = setup.orders.ping_interval
    with serve(
        echo, sock=setup.listener, ssl=setup.tls(), compression=compression, ping_interval=interval, max_size=None
    ) as server:
        setup.ready()
        server.serve_forever()


def first_releases(setup: Setup) -> None:
    """simple-websocket 1.1.0 on native threads."""
    accept.on_threads(_first_releases(setup), setup)


def first_releases_gevent(setup: Setup) -> None:
    """simple-websocket 1.1.0 on gevent, which it needs to be monkey-patched for."""
    from gevent import monkey

    monkey.patch_all()
    accept.on_gevent(_first_releases(setup), setup)


def _first_releases(setup: Setup) -> accept.Handler:
    from .subjects import FIRST_RELEASES

    # Ahead of the project's own folder, which has a package of this name as well.
    sys.path.insert(0, str(FIRST_RELEASES))
    import simple_websocket

    if not str(simple_websocket.__file__).startswith(str(FIRST_RELEASES)):
        raise ImportError(f"found {simple_websocket.__file__} instead of simple-websocket 1.1.0")

    def serve(sock: Any, address: object) -> None:
        environ = environ_of(sock)
        if environ is None:
            return
        environ["werkzeug.socket"] = sock
        ws = simple_websocket.Server.accept(environ, ping_interval=setup.orders.ping_interval)
        try:
            while True:
                ws.send(ws.receive())
        except simple_websocket.ConnectionClosed:
            pass

    return serve


def gevent_websocket(setup: Setup) -> None:
    """gevent-websocket under gevent.pywsgi."""
    from gevent import ssl as green_ssl
    from gevent.pywsgi import WSGIServer
    from geventwebsocket.exceptions import WebSocketError
    from geventwebsocket.handler import WebSocketHandler

    members: set[Any] = set()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        ws = environ["wsgi.websocket"]
        members.add(ws)
        try:
            while (message := ws.receive()) is not None:
                if setup.broadcasts:
                    for member in list(members):
                        member.send(_MESSAGE)
                else:
                    ws.send(message)
        except WebSocketError:
            pass  # the load generator has what it wanted
        finally:
            members.discard(ws)
        return []

    tls = setup.tls(green_ssl)
    options = {} if tls is None else {"ssl_context": tls}
    WSGIServer(accept.green(setup), application, log=None, handler_class=WebSocketHandler, **options).start()
    accept.serve_for_ever(setup)


def eventlet_websocket(setup: Setup) -> None:
    """eventlet.websocket under eventlet.wsgi."""
    import eventlet.websocket
    import eventlet.wsgi

    def echo(ws: Any) -> None:
        while (message := ws.wait()) is not None:
            ws.send(message)

    listener = accept.eventlet_listener(setup)
    setup.ready()
    eventlet.wsgi.server(listener, eventlet.websocket.WebSocketWSGI(echo), log=io.StringIO(), log_output=False, max_size=20_000)
