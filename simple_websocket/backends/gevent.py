"""The preset for gevent, monkey-patched or not.  The only file that imports gevent.

gevent's primitives belong to the hub of one native thread, so each hub is a scope of its own.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import gevent
import gevent.event
import gevent.lock
import gevent.monkey
import gevent.selectors
import gevent.socket

from ..stopping import told_to_stop
from . import Backend
from .selector import HubSelector

__all__ = ["BACKEND", "adapt"]

_READ, _WRITE = 1, 2


class Thread(gevent.Greenlet):
    """A greenlet with the constructor of `threading.Thread`."""

    def __init__(self, target: Any, args: Any = (), kwargs: Any = None) -> None:
        super().__init__(target, *args, **(kwargs or {}))


def adapt(injected: Any) -> Any:
    """Return the class to use for an injected one: a bare `gevent.Greenlet` cannot be called with ``target=``."""
    return Thread if injected is gevent.Greenlet else injected


class HubWaiter:
    """Waits in the hub, with watchers that are made once for each direction.

    :param sock: an object with a descriptor.
    :param ref: whether waiting keeps the hub's loop running.  Default: ``True``.
    """

    __slots__ = ("_fd", "_read", "_ref", "_write")

    def __init__(self, sock: Any, ref: bool = True) -> None:
        self._fd = sock.fileno()
        self._ref = ref
        self._read: Any = None
        self._write: Any = None

    def readable(self, timeout: float | None) -> bool:
        hub = gevent.get_hub()
        watcher = self._read
        if watcher is None:
            watcher = self._read = hub.loop.io(self._fd, _READ, ref=self._ref)
        if timeout is None:
            hub.wait(watcher)
            return True
        return self._wait(watcher, timeout)

    def writable(self, timeout: float | None) -> bool:
        if self._write is None:
            self._write = gevent.get_hub().loop.io(self._fd, _WRITE, ref=self._ref)
        return self._wait(self._write, timeout)

    def _wait(self, watcher: Any, timeout: float | None) -> bool:
        if timeout is None:
            gevent.get_hub().wait(watcher)
            return True
        timer = gevent.Timeout(max(0.0, timeout), ref=self._ref)
        timer.start()
        try:
            gevent.get_hub().wait(watcher)
            return True
        except gevent.Timeout as expired:
            if expired is not timer:  # a user's own timeout around this call
                raise
            return False
        finally:
            timer.close()

    def close(self) -> None:
        for watcher in (self._read, self._write):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._read = self._write = None


def _selector() -> Any:
    """One epoll object for all sockets where there is epoll; gevent's own selector elsewhere."""
    make_epoll = gevent.monkey.get_original("select", "epoll") if sys.platform == "linux" else None
    if make_epoll is None:
        return gevent.selectors.DefaultSelector()
    epoll = make_epoll()
    return HubSelector(epoll, HubWaiter(epoll, ref=False))


# A sleep of no time at all comes back before the hub has looked at any socket, up to fifty times in a row: whoever has always
# something to do would keep all others waiting.
_AT_LEAST = 1e-6


def _sleep(seconds: float) -> None:
    gevent.sleep(max(seconds, _AT_LEAST))


def _raw(sock: Any) -> Any:
    return getattr(sock, "_sock", sock) if isinstance(sock, gevent.socket.socket) else sock


BACKEND = Backend(
    name="gevent",
    thread_class=Thread,
    event_class=gevent.event.Event,
    selector_class=_selector,
    lock=gevent.lock.Semaphore,
    waiter=HubWaiter,
    clock=time.monotonic,
    sleep=_sleep,
    # A plain socket: it is only used without blocking, and the waiting is done here.
    socket=gevent.monkey.get_original("socket", "socket"),
    socketpair=gevent.socket.socketpair,
    getaddrinfo=gevent.socket.getaddrinfo,
    scope=gevent.get_hub,
    raw=_raw,
    told_to_stop=told_to_stop,
)
