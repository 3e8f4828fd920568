"""The registry of subjects: the servers that are measured.

Imports none of them: each is loaded in its own process only.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

__all__ = ["SUBJECTS", "Subject"]


@dataclass(frozen=True)
class Subject:
    """A server that echoes.

    :param name: as the table shows it and ``--subjects`` takes it.
    :param function: ``module:function`` in this package.  Called with a function that takes the port once the server
        listens, on 127.0.0.1; it serves until the process is ended.
    :param packages: distributions without which it cannot run.
    :param speaks_websocket: whether it does, or echoes whatever bytes come.  Default: ``True``.
    """

    name: str
    function: str
    packages: tuple[str, ...] = ()
    speaks_websocket: bool = True

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [package for package in self.packages if not _is_installed(package)]

    def serve(self, listening: object) -> None:
        """Be this server, in this process."""
        module, _, function = self.function.partition(":")
        getattr(importlib.import_module(f".{module}", __package__), function)(listening)


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


# In the order in which they take turns: those that are compared are measured close to each other.
SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("bare-threads", "bare:threads", speaks_websocket=False),
        Subject("ours-threads", "ours:threads"),
        Subject("websockets-sync", "peers:websockets_sync", ("websockets",)),
        Subject("bare-gevent", "bare:gevent", ("gevent",), speaks_websocket=False),
        Subject("ours-gevent", "ours:gevent", ("gevent",)),
        Subject("gevent-websocket", "peers:gevent_websocket", ("gevent", "gevent-websocket")),
        Subject("bare-eventlet", "bare:eventlet", ("eventlet",), speaks_websocket=False),
        Subject("ours-eventlet", "ours:eventlet", ("eventlet",)),
        Subject("eventlet.websocket", "peers:eventlet_websocket", ("eventlet",)),
        Subject("bare-asyncio", "aio:bare", speaks_websocket=False),
        Subject("ours-asyncio", "aio:ours"),
        Subject("websockets-asyncio", "aio:websockets_asyncio", ("websockets",)),
        Subject("ours-aiohttp", "aio:ours_aiohttp", ("aiohttp",)),
        Subject("aiohttp", "aio:aiohttp_response", ("aiohttp",)),
    )
}
