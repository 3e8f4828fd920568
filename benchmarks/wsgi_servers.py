"""Subjects that are this library under the web servers of WSGI, each run as people run it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import Any

from simple_websocket import Server

from . import accept
from .orders import BACKLOG, Setup
from .ours import talk

__all__ = ["eventlet", "gunicorn", "pywsgi", "werkzeug"]

_THREADS = 1100  # of gunicorn's pool: more than there are connections in any case for it


def _application(setup: Setup) -> Any:
    members: set[Any] = set()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with Server.accept(environ, ping_interval=setup.orders.ping_interval) as ws:
            talk(ws, members, setup)
        start_response("200 OK", [])
        return []

    return application


def werkzeug(setup: Setup) -> None:
    """Werkzeug's development server, a thread for each connection."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:
            pass  # no other subject writes a line for each request

    server = make_server(
        "127.0.0.1", 0, _application(setup), threaded=True, request_handler=Quiet, ssl_context=setup.tls(),
        fd=setup.listener.fileno(),
    )  # fmt: skip
    setup.ready()
    server.serve_forever()


def gunicorn(setup: Setup) -> None:
    """gunicorn with one worker of the class gthread."""
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self) -> None:
            files = {"certfile": setup.orders.certificate, "keyfile": setup.orders.certificate}
            settings = {
                "bind": [f"fd://{setup.listener.fileno()}"],
                "worker_class": "gthread",
                "threads": _THREADS,
                "worker_connections": _THREADS + 100,
                "backlog": BACKLOG,
                "loglevel": "error",
                "timeout": 0,
                "control_socket_disable": True,  # it would be shared with every other gunicorn of this machine
                "post_worker_init": lambda worker: setup.ready(),
                **(files if setup.orders.mode == "tls" else {}),
            }
            for name, value in settings.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> Any:
            return _application(setup)

    os.set_inheritable(setup.listener.fileno(), True)
    Application().run()


def pywsgi(setup: Setup) -> None:
    """gevent.pywsgi."""
    from gevent import ssl as green_ssl
    from gevent.pywsgi import WSGIServer

    tls = setup.tls(green_ssl)
    options = {} if tls is None else {"ssl_context": tls}
    WSGIServer(accept.green(setup), _application(setup), log=None, **options).start()
    accept.serve_for_ever(setup)


def eventlet(setup: Setup) -> None:
    """eventlet.wsgi."""
    import eventlet.wsgi

    listener = accept.eventlet_listener(setup)
    setup.ready()
    eventlet.wsgi.server(listener, _application(setup), log=io.StringIO(), log_output=False, max_size=20_000)
