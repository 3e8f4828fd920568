"""The modes: every way in which the library serves or connects that the Autobahn suite is run against."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MODES", "Mode", "missing_packages"]


@dataclass(frozen=True)
class Mode:
    """One server or client of the library, in a process of its own."""

    name: str
    title: str  # for people
    kind: str  # a function in servers.py or clients.py
    client: bool = False
    options: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def serve(self, port: int, limit: int) -> list[str]:
        """Return the arguments for Python that serve on a port, for so many seconds at most."""
        return ["-m", "conformance.servers", self.kind, str(port), str(limit), *self.options]

    def connect(self, url: str, limit: int) -> list[str]:
        """Return the arguments for Python that run the cases of a fuzzing server, for so many seconds at most."""
        return ["-m", "conformance.clients", self.kind, url, self.name, str(limit), *self.options]


def _gunicorn(worker: str, *options: str) -> Mode:
    packages = ("gunicorn", "gevent") if worker == "gevent" else ("gunicorn",)
    options = ("-k", worker, *options)
    return Mode(f"gunicorn-{worker}", f"Server, gunicorn {worker}", "gunicorn", options=options, packages=packages)


# gunicorn's gevent worker and eventlet.wsgi are monkey-patched; gevent.pywsgi and the clients are not.
MODES = [
    Mode("werkzeug", "Server, Werkzeug", "werkzeug", packages=("werkzeug",)),
    _gunicorn("gthread", "--threads", "8"),
    _gunicorn("gevent"),
    Mode("pywsgi", "Server, gevent.pywsgi", "pywsgi", packages=("gevent",)),
    Mode("eventlet-wsgi", "Server, eventlet.wsgi", "eventlet", packages=("eventlet",)),
    Mode("sock", "Server, raw sock=", "sock"),
    Mode("aiohttp", "AioServer, aiohttp", "aiohttp", packages=("aiohttp",)),
    Mode("aio-sock", "AioServer, raw sock=", "aio_sock"),
    Mode("client-threading", "Client, threading", "sync", client=True, options=("threading",)),
    Mode("client-gevent", "Client, gevent", "sync", client=True, options=("gevent",), packages=("gevent",)),
    Mode("client-eventlet", "Client, eventlet", "sync", client=True, options=("eventlet",), packages=("eventlet",)),
    Mode("aio-client", "AioClient", "aio", client=True),
]  # fmt: skip


def missing_packages(modes: Sequence[Mode]) -> list[str]:
    """Return the packages that these modes need and this Python does not have."""
    wanted = dict.fromkeys(["wsproto", *(name for mode in modes for name in mode.packages)])
    return [name for name in wanted if importlib.util.find_spec(name) is None]
