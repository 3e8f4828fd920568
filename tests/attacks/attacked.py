"""Runs a web server that is to be attacked: `python -m tests.attacks.attacked KIND PORT SECONDS`.

Bare WSGI, so that what is measured is the connections: no framework, the limits that SECURITY.md recommends, one route for each
thing that an application does: answer, not listen, talk.  The process ends after so many seconds whatever it is doing.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading

from simple_websocket import ConnectionClosed, ConnectionError
from tests.support.attacks import MAX_MESSAGE, MAX_UNREAD

# A peer that has gone while we do not read is noticed by the next ping; one that is silent may stay as long as its attack.
LIVENESS = {"ping_interval": 0.5, "ping_timeout": 10}
LIMITS = {"max_message_size": MAX_MESSAGE, "max_unread_bytes": MAX_UNREAD, "close_timeout": 1, **LIVENESS}
TALK = {**LIMITS, "ping_interval": 0.5, "ping_timeout": 0.5}
SENTENCE = bytes(16 * 1024)

#: For its process, as SECURITY.md recommends: else glibc keeps what threads have freed, in up to eight arenas a core.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}


def state():
    """What this process holds."""
    gc.collect()
    links = [thing for thing in gc.get_objects() if type(thing).__name__ in ("Link", "AioLink")]
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "connections": len(links),
    }


def application(environ, start_response):
    """The WSGI application."""
    from simple_websocket import Server

    path = environ["PATH_INFO"]
    if path in ("/", "/state"):
        body = json.dumps(state()).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
    try:
        with Server.accept(environ, **(TALK if path == "/talk" else LIMITS)) as ws:
            if path == "/echo":
                while True:
                    ws.send(ws.receive())
            elif path == "/talk":
                while True:
                    ws.send(SENTENCE)
            while ws.connected:  # /deaf
                backend_of(ws).sleep(0.05)
    except (ConnectionClosed, ConnectionError):
        pass
    start_response("200 OK", [("Content-Length", "0")])
    return []


def backend_of(ws):
    # No part of the public surface: an application knows its own sleep.
    return ws._link._keeper.backend


def werkzeug(port):
    from werkzeug.serving import make_server

    make_server("127.0.0.1", port, application, threaded=True).serve_forever()


def pywsgi(port):
    from gevent.pywsgi import WSGIServer

    WSGIServer(("127.0.0.1", port), application, log=None, error_log=None).serve_forever()


def eventlet(port):
    import eventlet
    import eventlet.wsgi

    eventlet.wsgi.server(eventlet.listen(("127.0.0.1", port)), application, log_output=False)


def aiohttp(port):
    import asyncio

    from aiohttp import web

    from simple_websocket import AioServer

    async def tell(request):
        return web.json_response(state())

    async def websocket(request):
        try:
            async with await AioServer.accept(aiohttp=request, **(TALK if request.path == "/talk" else LIMITS)) as ws:
                if request.path == "/echo":
                    while True:
                        await ws.send(await ws.receive())
                elif request.path == "/talk":
                    while True:
                        await ws.send(SENTENCE)
                while ws.connected:
                    await asyncio.sleep(0.05)
        except (ConnectionClosed, ConnectionError):
            pass
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", tell), web.get("/state", tell)])
    app.add_routes([web.get(path, websocket) for path in ("/echo", "/deaf", "/talk")])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


KINDS = {kind.__name__: kind for kind in (werkzeug, pywsgi, eventlet, aiohttp)}


if __name__ == "__main__":
    kind, port, limit = sys.argv[1:]
    signal.alarm(int(limit))
    KINDS[kind](int(port))
