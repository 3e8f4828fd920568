"""Listening: addresses become sockets, and one thread or greenlet takes in the connections that come to them.

`Acceptor.run` belongs to that one; `Bell.ring` is for everybody, signal handlers included.  No lock.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from .backends import Backend

__all__ = ["Acceptor", "Bell", "listen_on_path", "listen_on_ports"]

logger = logging.getLogger("simple_websocket")

# How many connections are taken in before others get their turn.
_ACCEPTS_AT_ONCE = 64

# accept(2): the machine or the process has too little of something, which may change.
_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
# Seconds until the next attempt, and between two lines about it in the log.
_PAUSE = 0.2
_SILENCE = 60.0

# accept(2): one connection was lost before it was taken in, and the next one may be well.
_LOST = {
    getattr(errno, name)
    for name in (
        "ECONNABORTED ECONNRESET EPROTO ENETDOWN ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH EOPNOTSUPP ENETUNREACH EPERM "
        "ETIMEDOUT"
    ).split()
    if hasattr(errno, name)
}  # fmt: skip

# With port 0 the first address chooses a port, which another program may have on the next one.
_PORT_ATTEMPTS = 8


def listen_on_ports(backend: Backend, host: str | None, port: int, backlog: int, reuse_port: bool) -> list[Any]:
    """Return a listening socket for each address that a host name has.

    :param host: a name or an address; ``None`` or empty for all interfaces.
    :param port: 0 for one that is free.
    :raises OSError: the name was not found, or an address is in use or is not this machine's.
    """
    if host:
        found = backend.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
        addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    else:
        addresses = [(socket.AF_INET6, ("::", port, 0, 0)), (socket.AF_INET, ("0.0.0.0", port))]
    attempts = _PORT_ATTEMPTS if port == 0 and len(addresses) > 1 else 1
    while True:
        attempts -= 1
        try:
            return _listen_on_all(backend, addresses, backlog, reuse_port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not attempts:
                raise


def _listen_on_all(backend: Backend, addresses: Sequence[tuple[Any, Any]], backlog: int, reuse_port: bool) -> list[Any]:
    listeners: list[Any] = []
    absent: OSError | None = None
    port = 0
    try:
        for family, address in addresses:
            try:
                listeners.append(_listen(backend, family, (address[0], address[1] or port, *address[2:]), backlog, reuse_port))
            except OSError as error:
                # A machine without IPv6 may know the IPv6 address of a name all the same.
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                absent = error
            else:
                port = port or listeners[-1].getsockname()[1]
        if not listeners:
            raise absent or OSError(errno.EADDRNOTAVAIL, "the name has no address")
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen(backend: Backend, family: int, address: Any, backlog: int, reuse_port: bool) -> Any:
    sock = backend.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it lets two programs have the same port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        sock.bind(address)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {address[0]} port {address[1]}: {error.strerror}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def listen_on_path(backend: Backend, path: str, backlog: int) -> Any:
    """Return a listening Unix socket; what a program that has died left there is replaced.

    :raises OSError: somebody listens there already, or something else has that path.
    """
    sock = backend.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not path.startswith("\0") and _is_abandoned(backend, path):
            os.unlink(path)
        sock.bind(path)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {path!r}: {error.strerror}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def _is_abandoned(backend: Backend, path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    probe = backend.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.setblocking(False)
        return bool(probe.connect_ex(path) == errno.ECONNREFUSED)
    finally:
        probe.close()


class Bell:
    """Wakes one waiting thread or greenlet, once; also from a signal handler, where no event may be set and no lock taken."""

    def __init__(self, backend: Backend) -> None:
        self._out, self.sock = backend.socketpair()
        self._out.setblocking(False)
        self.sock.setblocking(False)
        self._waiter = backend.waiter(self.sock)

    def ring(self) -> None:
        """Wake it; nothing happens when it is not there any more."""
        with suppress(OSError):
            self._out.send(b"\0")

    def wait(self) -> None:
        """Wait until it was rung."""
        self._waiter.readable(None)

    def close(self) -> None:
        """Free the descriptors."""
        self._waiter.close()
        self._out.close()
        self.sock.close()


class Acceptor:
    """Takes in connections until the bell rings, and closes the listening sockets then.

    :param listeners: the listening sockets.
    :param backend: where the selector and the clock come from.
    :param bell: rung to end it.
    :param welcome: called with each new connection's socket and the address of its peer; returns without waiting.
    """

    def __init__(self, listeners: Sequence[Any], backend: Backend, bell: Bell, welcome: Callable[[Any, Any], None]) -> None:
        self._listeners = list(listeners)
        self._backend = backend
        self._bell = bell
        self._welcome = welcome
        self._selector: Any = backend.selector_class()
        self._next_complaint = 0.0
        self._selector.register(bell.sock, selectors.EVENT_READ, None)
        for listener in self._listeners:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, listener)
        # A hub has to see that somebody waits here, which a selector may be made to hide.
        self._waiter = backend.waiter(self._selector) if hasattr(self._selector, "fileno") else None

    def run(self) -> None:
        """Take in connections, until the bell rings or no listening socket is left."""
        try:
            while self._listeners:
                if self._waiter is not None:
                    self._waiter.readable(None)
                ready = [key.data for key, _ in self._selector.select(None if self._waiter is None else 0)]
                if None in ready:
                    return
                for listener in ready:
                    self._accept_from(listener)
        finally:
            self._close()

    def _accept_from(self, listener: Any) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except (OSError, ValueError) as error:
                if not self._survives(error):
                    logger.error("a listening socket has failed, and is given up: %s", error)
                    self._give_up(listener)
                return
            try:
                self._welcome(sock, address)
            except RuntimeError as error:  # no more threads
                self._complain(error)
                self._backend.sleep(_PAUSE)
                return

    def _survives(self, error: Exception) -> bool:
        """Whether the next attempt may succeed; wait a moment first where that needs time."""
        number = getattr(error, "errno", None)
        if number in _SHORTAGES:
            self._complain(error)
            self._backend.sleep(_PAUSE)
            return True
        return number in _LOST

    def _complain(self, error: Exception) -> None:
        now = self._backend.clock()
        if now >= self._next_complaint:
            self._next_complaint = now + _SILENCE
            logger.error("new connections have to wait: %s", error)

    def _give_up(self, listener: Any) -> None:
        self._listeners.remove(listener)
        with suppress(KeyError, ValueError, OSError):
            self._selector.unregister(listener)
        listener.close()

    def _close(self) -> None:
        for listener in list(self._listeners):
            self._give_up(listener)
        if self._waiter is not None:
            self._waiter.close()
        self._selector.close()
