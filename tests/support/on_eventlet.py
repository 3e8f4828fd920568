"""The world of eventlet, monkey-patched or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import eventlet
import eventlet.green.selectors
import eventlet.green.socket
import eventlet.green.ssl
import eventlet.green.threading
import eventlet.greenio
import eventlet.hubs
import eventlet.patcher
import eventlet.semaphore
import trustme

from simple_websocket.transport import wrap_tls

from .world import World


class EngineThread:
    """The thread class that python-engineio injects."""

    def __init__(self, target: Any, args: Any = (), kwargs: Any = None) -> None:
        self._call = target, args, kwargs or {}
        self.g: Any = None

    def start(self) -> None:
        target, args, kwargs = self._call
        self.g = eventlet.spawn(target, *args, **kwargs)

    def join(self) -> Any:
        return self.g.wait()


class EventletWorld(World):
    name = "eventlet"
    patched = eventlet.patcher.is_monkey_patched("socket")
    preamble = "import eventlet; eventlet.monkey_patch()" if patched else ""
    thread_class = EngineThread
    event_class = eventlet.green.threading.Event
    selector_class = eventlet.green.selectors.DefaultSelector
    interruptions = (KeyboardInterrupt, eventlet.Timeout)

    sleep = staticmethod(eventlet.sleep)
    event = staticmethod(eventlet.green.threading.Event)
    lock = staticmethod(eventlet.semaphore.Semaphore)
    make_socket = staticmethod(eventlet.patcher.original("socket").socket)

    def start(self, function: Callable[[], None]) -> Any:
        return eventlet.spawn(function)

    def readable(self, sock: Any, timeout: float) -> bool:
        return self._wait(sock, timeout, read=True)

    def writable(self, sock: Any, timeout: float) -> bool:
        return self._wait(sock, timeout, write=True)

    @staticmethod
    def _wait(sock: Any, timeout: float, **direction: bool) -> bool:
        try:
            eventlet.hubs.trampoline(sock.fileno(), timeout=max(0.0, timeout), timeout_exc=_Expired, **direction)
        except _Expired:
            return False
        return True

    def server_socket(self, sock: Any) -> Any:
        return eventlet.greenio.GreenSocket(sock)

    def server_tls(self, sock: Any, certificate: trustme.LeafCert, **options: Any) -> Any:
        context = eventlet.green.ssl.SSLContext(eventlet.green.ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return wrap_tls(context, self.server_socket(sock), server_side=True, **{"do_handshake_on_connect": True, **options})

    def interrupting(self, seconds: float, error: type[BaseException]) -> Any:
        return eventlet.Timeout(seconds, None if error is eventlet.Timeout else error)


class _Expired(Exception):
    """The end of a wait's own time."""
