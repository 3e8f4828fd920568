"""The preset for eventlet, monkey-patched or not.  The only file that imports eventlet.

eventlet is maintained in bug-fix mode only; this preset is for those who are on it.  The hub allows one listener for each
socket and direction, which is why only `HubWaiter` ever registers a connection's socket with it.
"""

from __future__ import annotations

import os
import selectors
import sys
import time
from typing import Any

import eventlet
import eventlet.green.selectors
import eventlet.green.socket
import eventlet.green.threading
import eventlet.greenio
import eventlet.hubs
import eventlet.patcher
import eventlet.semaphore

from ..stopping import told_to_stop
from . import Backend
from .selector import HubSelector

__all__ = ["BACKEND", "adapt"]

# The modules as they were before monkey-patching.
_select: Any = eventlet.patcher.original("select")
_socket: Any = eventlet.patcher.original("socket")


class Thread:
    """A green thread with the constructor and `start` of `threading.Thread`."""

    def __init__(self, target: Any, args: Any = (), kwargs: Any = None) -> None:
        self._call = (target, *args), kwargs or {}

    def start(self) -> None:
        """Run the target in a green thread, whose end nobody waits for."""
        args, kwargs = self._call
        eventlet.spawn_n(*args, **kwargs)


class Lock(eventlet.semaphore.Semaphore):
    """A semaphore that does not look around when it is free and nobody waits: half of its cost, two of them for each message."""

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if self.counter > 0 and not self._waiters:
            self.counter -= 1
            return True
        return bool(super().acquire(blocking, timeout))

    __enter__ = acquire


_EXPIRED = object()


class HubWaiter:
    """Waits in the hub, which goes on listening between two waits.

    To add a listener for each wait and remove it again would be two system calls.  What arrives while nobody waits ends the
    listening, or the hub would never rest.
    """

    __slots__ = ("_fd", "_listener", "_pid", "_reader")

    def __init__(self, sock: Any) -> None:
        self._fd = sock.fileno()
        self._reader: Any = None
        self._listener: Any = None
        self._pid = os.getpid()

    def readable(self, timeout: float | None) -> bool:
        if self._listener is not None and self._listener.spent:
            return True  # its owner has closed the socket, and somebody else has the descriptor: reading says so
        hub = eventlet.hubs.get_hub()
        timer = None if timeout is None else hub.schedule_call_global(max(0.0, timeout), self._wake, _EXPIRED)
        self._reader = eventlet.getcurrent()
        try:
            if self._listener is None:
                self._listener = hub.add(hub.READ, self._fd, self._on_event, self._wake, None)
            self._listener.greenlet = self._reader  # who is to be woken when the descriptor is another one's
            return hub.switch() is not _EXPIRED
        finally:
            self._reader = None
            if timer is not None:
                timer.cancel()

    def writable(self, timeout: float | None) -> bool:
        try:
            if timeout is None:
                eventlet.hubs.trampoline(self._fd, write=True)
            else:
                eventlet.hubs.trampoline(self._fd, write=True, timeout=max(0.0, timeout), timeout_exc=_Expired)
        except _Expired:
            return False
        except eventlet.hubs.IOClosed:
            pass  # ready to find out that it was closed
        return True

    def close(self) -> None:
        listener, self._listener = self._listener, None
        # The kernel's object behind the hub is a forked child's, too: removing it there would be removing it here.
        if listener is not None and self._pid == os.getpid():
            try:
                eventlet.hubs.get_hub().remove(listener)
            except KeyError:
                pass  # the hub has found out that the descriptor is not valid

    def _wake(self, what: object = None) -> None:
        if self._reader is not None:
            self._reader.switch(what)

    def _on_event(self, _: int) -> None:
        if self._reader is None:
            self.close()
        else:
            self._reader.switch()


class _Expired(Exception):
    """A wait's own timeout, told apart from a user's `eventlet.Timeout` around the call."""


def _selector() -> Any:
    """One epoll object for all sockets where there is epoll; eventlet's own selector elsewhere."""
    if sys.platform != "linux":
        return eventlet.green.selectors.DefaultSelector()
    epoll = _select.epoll()
    return HubSelector(epoll, HubWaiter(epoll))


def adapt(injected: Any) -> Any:
    """Return the class to use for an injected one.

    eventlet's own selector registers each connection's socket with the hub, where it is in the way of whoever reads it.
    """
    unusable = (eventlet.green.selectors.DefaultSelector, selectors.DefaultSelector)
    return _selector if injected in unusable else injected


def _raw(sock: Any) -> Any:
    return getattr(sock, "fd", sock) if isinstance(sock, eventlet.greenio.GreenSocket) else sock


BACKEND = Backend(
    name="eventlet",
    thread_class=Thread,
    event_class=eventlet.green.threading.Event,
    selector_class=_selector,
    lock=Lock,
    waiter=HubWaiter,
    clock=time.monotonic,
    sleep=eventlet.sleep,
    # A plain socket: it is only used without blocking, and the waiting is done here.
    socket=_socket.socket,
    socketpair=_socket.socketpair,
    getaddrinfo=eventlet.green.socket.getaddrinfo,
    scope=eventlet.hubs.get_hub,
    raw=_raw,
    told_to_stop=told_to_stop,
)
