"""Subjects that are other libraries, each as its documentation says: without compression and keepalive, as ours runs here."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from .accept import BACKLOG, HOST

__all__ = ["eventlet_websocket", "gevent_websocket", "websockets_sync"]


def websockets_sync(listening: Callable[[int], None]) -> None:
    """``websockets.sync.server``: native threads."""
    from websockets.sync.server import serve

    def echo(ws: Any) -> None:
        for message in ws:
            ws.send(message)

    with serve(echo, HOST, 0, compression=None, ping_interval=None) as server:
        listening(server.socket.getsockname()[1])
        server.serve_forever()


def gevent_websocket(listening: Callable[[int], None]) -> None:
    """gevent-websocket under gevent.pywsgi."""
    from gevent.pywsgi import WSGIServer
    from geventwebsocket.exceptions import WebSocketError
    from geventwebsocket.handler import WebSocketHandler

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        ws = environ["wsgi.websocket"]
        try:
            while (message := ws.receive()) is not None:
                ws.send(message)
        except WebSocketError:
            pass  # the load generator has what it wanted
        return []

    server = WSGIServer((HOST, 0), application, backlog=BACKLOG, log=None, handler_class=WebSocketHandler)
    server.start()
    listening(server.server_port)
    server.serve_forever()


def eventlet_websocket(listening: Callable[[int], None]) -> None:
    """eventlet.websocket under eventlet.wsgi."""
    import eventlet
    import eventlet.websocket
    import eventlet.wsgi

    def echo(ws: Any) -> None:
        while (message := ws.wait()) is not None:
            ws.send(message)

    listener = eventlet.listen((HOST, 0), backlog=BACKLOG)
    listening(listener.getsockname()[1])
    eventlet.wsgi.server(listener, eventlet.websocket.WebSocketWSGI(echo), log=io.StringIO(), log_output=False)
