"""The world of gevent, monkey-patched or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import gevent.lock
import gevent.monkey
import gevent.selectors
import gevent.socket
import gevent.ssl
import trustme

from simple_websocket.transport import wrap_tls

from .world import World


class EngineThread(gevent.Greenlet):  # type: ignore[misc]
    """The thread class that python-engineio injects: it takes target, args and kwargs only."""

    def __init__(self, target: Any, args: Any = (), kwargs: Any = None) -> None:
        super().__init__(target, *args, **(kwargs or {}))


class GeventWorld(World):
    name = "gevent"
    patched = gevent.monkey.is_module_patched("socket")
    preamble = "from gevent import monkey; monkey.patch_all()" if patched else ""
    thread_class = EngineThread
    event_class = gevent.event.Event
    selector_class = gevent.selectors.DefaultSelector
    interruptions = (KeyboardInterrupt, gevent.Timeout)

    sleep = staticmethod(gevent.sleep)
    event = staticmethod(gevent.event.Event)
    lock = staticmethod(gevent.lock.Semaphore)
    make_socket = staticmethod(gevent.monkey.get_original("socket", "socket"))

    def start(self, function: Callable[[], None]) -> Any:
        return gevent.spawn(function)

    def readable(self, sock: Any, timeout: float) -> bool:
        return self._wait(gevent.socket.wait_read, sock, timeout)

    def writable(self, sock: Any, timeout: float) -> bool:
        return self._wait(gevent.socket.wait_write, sock, timeout)

    @staticmethod
    def _wait(wait: Callable[..., None], sock: Any, timeout: float) -> bool:
        try:
            wait(sock.fileno(), max(0.0, timeout), _Expired())
        except _Expired:
            return False
        return True

    def server_socket(self, sock: Any) -> Any:
        family, kind, proto = sock.family, sock.type, sock.proto
        return gevent.socket.socket(family, kind, proto, fileno=sock.detach())

    def server_tls(self, sock: Any, certificate: trustme.LeafCert, **options: Any) -> Any:
        context = gevent.ssl.SSLContext(gevent.ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return wrap_tls(context, self.server_socket(sock), server_side=True, **{"do_handshake_on_connect": True, **options})

    def interrupting(self, seconds: float, error: type[BaseException]) -> Any:
        return gevent.Timeout(seconds, None if error is gevent.Timeout else error)


class _Expired(Exception):
    """The end of a wait's own time."""
