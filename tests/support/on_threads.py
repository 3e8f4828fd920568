"""The world of native threads."""

from __future__ import annotations

import select
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trustme

from simple_websocket.transport import wrap_tls

from .world import World, server_context


class ThreadWorld(World):
    name = "threading"
    thread_class = threading.Thread
    event_class = threading.Event
    selector_class = selectors.DefaultSelector

    def start(self, function: Callable[[], None]) -> Any:
        thread = threading.Thread(target=function, daemon=True)
        thread.start()
        return thread

    sleep = staticmethod(time.sleep)
    event = staticmethod(threading.Event)
    lock = staticmethod(threading.Lock)
    make_socket = staticmethod(socket.socket)

    def readable(self, sock: Any, timeout: float) -> bool:
        return self._poll(sock, select.POLLIN, timeout)

    def writable(self, sock: Any, timeout: float) -> bool:
        return self._poll(sock, select.POLLOUT, timeout)

    @staticmethod
    def _poll(sock: Any, mask: int, timeout: float) -> bool:
        poll = select.poll()
        poll.register(sock, mask)
        return bool(poll.poll(max(0.0, timeout) * 1000))

    def server_socket(self, sock: Any) -> Any:
        sock.setblocking(True)
        return sock

    def server_tls(self, sock: Any, certificate: trustme.LeafCert, **options: Any) -> Any:
        sock.setblocking(True)
        return wrap_tls(server_context(self, certificate), sock, server_side=True, **{"do_handshake_on_connect": True, **options})

    @contextmanager
    def interrupting(self, seconds: float, error: type[BaseException]) -> Iterator[None]:
        """As Ctrl-C does it: a signal handler that raises, in the main thread."""

        def interrupt(*_: object) -> None:
            raise error

        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
