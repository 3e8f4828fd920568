"""The web servers that the tests run, one line for each way to start one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

TIME_LIMIT = 150  # seconds; a server process that nobody stops ends by itself after that

# gunicorn 26 removed the eventlet worker; `make test` puts a gunicorn 25 here.
GUNICORN_25 = Path(sys.prefix) / "gunicorn25"


@dataclass(frozen=True)
class Entry:
    """One way to run a web server, and what the library has to find there."""

    name: str
    kind: str  # in launch.py
    mode: str
    backend: str
    options: tuple[str, ...] = ()
    tls: bool = False
    one_at_a_time: bool = False  # serves the next connection when this one is over
    old_gunicorn: bool = False
    own_copy: bool = False  # uWSGI: the connection does not end with the request, and what was read with that is out of reach

    def command(self, port: int, certificate: tuple[str, str]) -> list[str]:
        """Arguments for Python."""
        files = certificate if self.tls else ("", "")
        return ["-m", "tests.servers.launch", self.kind, str(port), str(TIME_LIMIT), *files, *self.options]


def _gunicorn(worker: str, backend: str, *options: str, mode: str = "gunicorn", tls: bool = False) -> Entry:
    return Entry(
        name=f"gunicorn-{worker}{'-tls' if tls else ''}",
        kind="gunicorn",
        mode=mode,
        backend=backend,
        options=("-k", worker, *options),
        tls=tls,
        one_at_a_time=worker == "sync",
        old_gunicorn=worker == "eventlet",
    )


def _green(kind: str, mode: str) -> list[Entry]:
    """A greenlet library's own server, patched and not, plain and TLS."""
    return [
        Entry(
            name=f"{kind}-{'patched' if patched else 'unpatched'}{'-tls' if tls else ''}",
            kind=kind,
            mode=mode,
            backend=mode,
            options=("--patched",) if patched else (),
            tls=tls,
        )
        for patched in (True, False)
        for tls in (False, True)
    ]


THREADS = ("--threads", "16")

ENTRIES = [
    Entry("werkzeug", "werkzeug", "werkzeug", "threading"),
    Entry("werkzeug-tls", "werkzeug", "werkzeug", "threading", tls=True),
    Entry("werkzeug-single", "werkzeug", "werkzeug", "threading", ("--single",), one_at_a_time=True),
    Entry("flask-run", "flask", "werkzeug", "threading"),
    Entry("flask-run-debug", "flask", "werkzeug", "threading", ("--debug",)),  # the debugger, and the reloader's two processes
    _gunicorn("sync", "threading"),
    _gunicorn("gthread", "threading", *THREADS),
    _gunicorn("gthread", "threading", *THREADS, tls=True),
    _gunicorn("gevent", "gevent"),
    _gunicorn("gevent", "gevent", tls=True),
    _gunicorn("gevent_pywsgi", "gevent", mode="gevent"),
    _gunicorn("gevent_pywsgi", "gevent", mode="gevent", tls=True),
    _gunicorn("eventlet", "eventlet"),
    *_green("pywsgi", "gevent"),
    *_green("eventlet", "eventlet"),
    Entry("wsgiref", "wsgiref", "werkzeug", "threading"),
    Entry("wsgiref-tls", "wsgiref", "werkzeug", "threading", tls=True),
    Entry("waitress", "waitress", "werkzeug", "threading"),
    Entry("cheroot", "cheroot", "werkzeug", "threading"),
    Entry("cheroot-tls", "cheroot", "werkzeug", "threading", tls=True),
    Entry("uwsgi", "uwsgi", "uwsgi", "threading", own_copy=True),
    Entry("uwsgi-gevent", "uwsgi", "uwsgi", "gevent", ("--gevent",), own_copy=True),
    Entry("uwsgi-gevent-patched", "uwsgi", "uwsgi", "gevent", ("--gevent", "--patched"), own_copy=True),
]
