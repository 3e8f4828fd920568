"""The web servers and async modes of this suite: one line for each, by its name in tests.servers.entries."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tests.servers import entries as servers

THREADS = ("--threads", "64")  # a connection takes one

_SERVERS = {entry.name: entry for entry in servers.ENTRIES}


@dataclass(frozen=True)
class Entry(servers.Entry):
    """A web server and what python-engineio is told about it."""

    async_mode: str = ""
    at_once: int = 20  # connections that the tests make at a time

    def command(self, port: int, certificate: tuple[str, str]) -> list[str]:
        module, _, *rest = super().command(port, certificate)
        return [module, "tests.dropin.launch", self.async_mode, *rest]

    @property
    def ours(self) -> bool:
        """Whether python-engineio's WebSockets are this project's: for eventlet it takes eventlet.websocket."""
        return self.async_mode != "eventlet"


def on(server: str, async_mode: str) -> Entry:
    given = {field.name: getattr(_SERVERS[server], field.name) for field in fields(servers.Entry)}
    if server.startswith("gunicorn-gthread"):
        given["options"] += THREADS
    if given["one_at_a_time"]:
        at_once = 1
    elif given["kind"] in ("waitress", "cheroot", "uwsgi"):
        at_once = 12  # their 16 threads answer HTTP as well
    else:
        at_once = 20
    return Entry(**given | {"name": f"{server}, {async_mode}"}, async_mode=async_mode, at_once=at_once)


_PLAIN = [
    on("werkzeug", "threading"),
    on("gunicorn-gthread", "threading"),
    on("gunicorn-gevent", "gevent"),
    on("gunicorn-gevent_pywsgi", "gevent"),
    on("gunicorn-eventlet", "eventlet"),
    on("pywsgi-patched", "gevent"),
    on("pywsgi-unpatched", "gevent"),
    on("eventlet-patched", "eventlet"),
    on("uwsgi", "threading"),
    on("uwsgi-gevent", "gevent"),
]

ENGINEIO = [
    *_PLAIN,
    # Code written for threads, on servers that make greenlets of them.
    on("gunicorn-gevent", "threading"),
    on("eventlet-patched", "threading"),
]

ENGINEIO_TLS = [
    on("werkzeug-tls", "threading"),
    on("gunicorn-gthread-tls", "threading"),
    on("gunicorn-gevent-tls", "gevent"),
    on("pywsgi-unpatched-tls", "gevent"),
]

FLASK_SOCK = [
    *_PLAIN,
    *ENGINEIO_TLS,
    on("flask-run-debug", "threading"),
    on("gunicorn-sync", "threading"),
    on("eventlet-unpatched", "eventlet"),
    on("eventlet-patched-tls", "eventlet"),
    # Here python-engineio would raise an error that only Werkzeug understands.
    on("wsgiref", "threading"),
    on("waitress", "threading"),
    on("cheroot", "threading"),
    on("cheroot-tls", "threading"),
]
