"""The preset for native threads: the standard library's primitives."""

from __future__ import annotations

import math
import select
import selectors
import socket
import threading
import time
from typing import Any

from ..stopping import told_to_stop
from . import Backend, Waiter

__all__ = ["BACKEND", "adapt"]


# What fits into the milliseconds of poll; whoever waits longer looks again after these seconds.
_LONGEST_POLL = 10.0**6


class PollWaiter:
    """Waits with poll(2): one system call and no descriptor of its own."""

    __slots__ = ("_sock",)

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def readable(self, timeout: float | None) -> bool:
        return self._wait(select.POLLIN, timeout)

    def writable(self, timeout: float | None) -> bool:
        return self._wait(select.POLLOUT, timeout)

    def _wait(self, mask: int, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._sock, mask)
        return bool(poll.poll(None if timeout is None else math.ceil(1000 * min(max(0.0, timeout), _LONGEST_POLL))))

    def close(self) -> None:
        pass


class SelectWaiter:
    """Waits with select, where there is no poll: Windows."""

    __slots__ = ("_sock",)

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def readable(self, timeout: float | None) -> bool:
        return bool(select.select([self._sock], [], [], timeout)[0])

    def writable(self, timeout: float | None) -> bool:
        # A refused connect is reported as exceptional there.
        return any(select.select([], [self._sock], [self._sock], timeout))

    def close(self) -> None:
        pass


def _waiter(sock: Any) -> Waiter:
    return PollWaiter(sock) if hasattr(select, "poll") else SelectWaiter(sock)


class _Process:
    """The scope of native threads: all of them may use each other's primitives."""


_PROCESS = _Process()


def adapt(injected: Any) -> Any:
    """Return the class to use for an injected one: itself."""
    return injected


def _sleep(seconds: float) -> None:
    # Native threads take turns by themselves, and a sleep of no time at all can take a tenth of a millisecond.
    if seconds > 0:
        time.sleep(seconds)


BACKEND = Backend(
    name="threading",
    thread_class=threading.Thread,
    event_class=threading.Event,
    selector_class=selectors.DefaultSelector,
    lock=threading.Lock,
    waiter=_waiter,
    clock=time.monotonic,
    sleep=_sleep,
    socket=socket.socket,
    socketpair=socket.socketpair,
    getaddrinfo=socket.getaddrinfo,
    scope=lambda: _PROCESS,
    # Elsewhere MSG_DONTWAIT is missing, without which a blocking socket cannot be tried.
    parks_in_recv=hasattr(socket, "MSG_DONTWAIT"),
    in_main_thread=lambda: threading.get_ident() == threading.main_thread().ident,
    told_to_stop=told_to_stop,
)
