"""The registry of subjects: the servers that are measured.

Imports none of them: each is loaded in its own process only.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .cases import MODES

__all__ = ["FIRST_RELEASES", "SUBJECTS", "Subject", "add_versions", "installed"]

#: Where the last release of the simple-websocket that was written before this one is installed: it has the same package name.
FIRST_RELEASES = Path(sys.prefix) / "simple_websocket_1"


@dataclass(frozen=True)
class Subject:
    """A server that echoes.

    :param name: as the table shows it and ``--subjects`` takes it.
    :param family: which subjects it is compared with: threads, gevent, eventlet or asyncio.
    :param kind: ``bare``, ``ours``, ``server`` (ours on a web server), ``peer`` or ``before`` (another version of ours).
    :param function: ``module:function`` in this package.  Called with a `Setup`; it serves until the process is ended.
    :param packages: distributions without which it cannot run.
    :param modes: those of `MODES` in which it can serve.  Default: all.
    :param broadcasts: whether it has the role to broadcast.  Default: ``False``.
    :param tree: folder of the other version of ours.  Default: this one.
    """

    name: str
    family: str
    kind: str
    function: str
    packages: tuple[str, ...] = ()
    modes: tuple[str, ...] = MODES
    broadcasts: bool = False
    tree: str = ""

    @property
    def speaks_websocket(self) -> bool:
        """Whether it does, or echoes whatever bytes come."""
        return self.kind != "bare"

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [package for package in self.packages if installed(package) is None]

    def serve(self, setup: object) -> None:
        """Be this server, in this process."""
        module, _, function = self.function.partition(":")
        getattr(importlib.import_module(f".{module}", __package__), function)(setup)


def installed(package: str) -> str | None:
    """Return the version of an installed distribution."""
    if package == "simple-websocket==1.1.0":
        return "1.1.0" if FIRST_RELEASES.is_dir() else None
    try:
        return version(package)
    except PackageNotFoundError:
        return None


_NO_TLS = ("plain", "deflate")
_NO_DEFLATE = ("plain", "tls")

_PLAIN = ("plain",)

# In the order in which they take turns: those that are compared are measured close to each other.
SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("bare-threads", "threads", "bare", "bare:threads", modes=_NO_DEFLATE, broadcasts=True),
        Subject("ours-threads", "threads", "ours", "ours:threads", broadcasts=True),
        Subject("websockets-sync", "threads", "peer", "peers:websockets_sync", ("websockets",)),
        Subject("simple-websocket-1", "threads", "peer", "peers:first_releases", ("simple-websocket==1.1.0",)),
        Subject("ours-werkzeug", "threads", "server", "wsgi_servers:werkzeug", ("werkzeug",)),
        Subject("ours-gunicorn", "threads", "server", "wsgi_servers:gunicorn", ("gunicorn",)),
        Subject("bare-gevent", "gevent", "bare", "bare:gevent", ("gevent",), _NO_DEFLATE, broadcasts=True),
        Subject("ours-gevent", "gevent", "ours", "ours:gevent", ("gevent",), broadcasts=True),
        Subject("gevent-websocket", "gevent", "peer", "peers:gevent_websocket", ("gevent", "gevent-websocket"), _NO_DEFLATE,
                broadcasts=True),
        Subject("simple-websocket-1-gevent", "gevent", "peer", "peers:first_releases_gevent",
                ("simple-websocket==1.1.0", "gevent"), _PLAIN),
        Subject("ours-pywsgi", "gevent", "server", "wsgi_servers:pywsgi", ("gevent",)),
        Subject("bare-eventlet", "eventlet", "bare", "bare:eventlet", ("eventlet",), _NO_DEFLATE, broadcasts=True),
        Subject("ours-eventlet", "eventlet", "ours", "ours:eventlet", ("eventlet",), broadcasts=True),
        Subject("eventlet.websocket", "eventlet", "peer", "peers:eventlet_websocket", ("eventlet",)),
        Subject("ours-eventlet.wsgi", "eventlet", "server", "wsgi_servers:eventlet", ("eventlet",)),
        Subject("bare-asyncio", "asyncio", "bare", "bare:on_asyncio", modes=_NO_DEFLATE, broadcasts=True),
        Subject("ours-asyncio", "asyncio", "ours", "aio:ours", modes=_NO_TLS, broadcasts=True),
        Subject("websockets-asyncio", "asyncio", "peer", "aio:websockets_asyncio", ("websockets",), broadcasts=True),
        Subject("picows", "asyncio", "peer", "aio:picows", ("picows",), _NO_DEFLATE),
        Subject("ours-aiohttp", "asyncio", "ours", "aio:ours_aiohttp", ("aiohttp",), broadcasts=True),
        Subject("aiohttp", "asyncio", "peer", "aio:aiohttp_response", ("aiohttp",), broadcasts=True),
        Subject("ours-uvicorn", "asyncio", "server", "asgi:ours", ("uvicorn", "websockets")),
        Subject("uvicorn-websockets", "asyncio", "peer", "asgi:with_websockets", ("uvicorn", "websockets")),
        Subject("uvicorn-wsproto", "asyncio", "peer", "asgi:with_wsproto", ("uvicorn", "wsproto")),
    )
}  # fmt: skip


def add_versions(tree: str) -> None:
    """Register another version of our library, behind each subject that is this one: ``ours-threads@before`` and so on.

    :param tree: the folder that has its ``simple_websocket``.
    """
    twins = [replace(one, name=f"{one.name}@before", kind="before", tree=tree) for one in SUBJECTS.values() if one.kind == "ours"]
    for twin in twins:
        SUBJECTS[twin.name] = twin
