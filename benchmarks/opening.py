"""Opening many connections at once, and hanging them up: connect, TLS, the opening handshake, the closing one.

The steps of one connection are a generator, which yields what it waits for; `Opener` runs many of them on one epoll object.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import time
from collections.abc import Generator
from itertools import count
from typing import Any

from .orders import HOST
from .wire import CLOSE, Request, WrongEcho

__all__ = ["AT_ONCE", "Opened", "Opener"]

#: How many connections are being opened at any time.
AT_ONCE = 64

_TIMEOUT = 20.0  # seconds without any progress
_HANG_UP_TIMEOUT = 2.0
_READ = 4096
_SENDERS = 8  # 127.0.0.2 and so on: each has the system's 28 000 ports
_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen at connect, so that a port may serve two destinations

_numbers = count()

#: A connected, non-blocking socket, and the opening handshake that was made on it, if any.
Opened = tuple[Any, Request | None]
_Steps = Generator[int, None, Opened]


class Opener:
    """Opens connections to one subject.

    :param port: where it listens.
    :param websocket: whether it speaks WebSocket, or echoes bytes.
    :param mode: one of `cases.MODES`.
    """

    def __init__(self, port: int, websocket: bool, mode: str) -> None:
        self._port = port
        self._websocket = websocket
        self._deflate = mode == "deflate"
        self._tls: ssl.SSLContext | None = None
        if mode == "tls":
            self._tls = ssl.create_default_context()
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE

    def open(self, number: int) -> list[Opened]:
        """Return so many connections.

        :raises WrongEcho: one was not accepted, or not in time.
        """
        opened: list[Opened] = []
        waiting: dict[int, tuple[_Steps, Any]] = {}
        started = 0
        with select.epoll() as poller:
            while len(opened) < number:
                while started < number and len(waiting) < AT_ONCE:
                    started += 1
                    sock = self._socket()
                    steps = self._steps(sock)
                    waiting[sock.fileno()] = steps, sock
                    poller.register(sock.fileno(), next(steps))
                ready = poller.poll(_TIMEOUT)
                if not ready:
                    raise WrongEcho(f"no progress in {_TIMEOUT:.0f} s with {len(opened)} of {number} connections open")
                for fd, _ in ready:
                    steps, _ = waiting[fd]
                    try:
                        poller.modify(fd, next(steps))
                    except StopIteration as end:
                        poller.unregister(fd)
                        del waiting[fd]
                        opened.append(end.value)
        return opened

    def hang_up(self, socks: list[Any]) -> None:
        """Close connections as a well-behaved client does: Close frames, and then the server ends TCP."""
        if self._websocket:
            with select.epoll() as poller:
                left = {}
                for sock in socks:
                    try:
                        sock.send(CLOSE)
                    except OSError:
                        continue
                    left[sock.fileno()] = sock
                    poller.register(sock.fileno(), select.EPOLLIN)
                deadline = time.monotonic() + _HANG_UP_TIMEOUT
                while left and (patience := deadline - time.monotonic()) > 0:
                    for fd, _ in poller.poll(patience):
                        if _at_end(left[fd]):
                            poller.unregister(fd)
                            del left[fd]
        for sock in socks:
            sock.close()

    def _socket(self) -> Any:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.0.{2 + next(_numbers) % _SENDERS}", 0))
        sock.setblocking(False)
        status = sock.connect_ex((HOST, self._port))
        if status not in (0, errno.EINPROGRESS):
            raise OSError(status, "the subject cannot be reached")
        return sock

    def _steps(self, sock: Any) -> _Steps:
        yield select.EPOLLOUT
        if status := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(status, "the subject cannot be reached")
        if self._tls is not None:
            fd = sock.fileno()
            sock = self._tls.wrap_socket(sock, do_handshake_on_connect=False)
            assert sock.fileno() == fd
            while True:
                try:
                    sock.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    yield select.EPOLLIN
        if not self._websocket:
            return sock, None
        request = Request(self._port, deflate=self._deflate)
        sock.send(request.data)
        while True:
            yield select.EPOLLIN
            try:
                if request.take(sock.recv(_READ)):
                    return sock, request
            except ssl.SSLWantReadError:
                pass  # a TLS record for the TLS layer itself


def _at_end(sock: Any) -> bool:
    try:
        while sock.recv(64 * 1024):
            pass
        return True
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
