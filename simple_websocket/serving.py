"""`serve`: a small listening server for programs that have no web server, on threads, gevent and eventlet.

Each connection has a thread or greenlet (exchange.py), and one more takes them in (listening.py).  `WebSocketServer._lock` guards
what they share: `_exchanges`, `_bells`, `_accepting` and `_stopping`; it is never held while waiting.
"""

from __future__ import annotations

import inspect
import logging
import os
import signal
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .backends import Backend, resolve
from .errors import ConnectionError
from .exchange import Exchange, Service
from .listening import Acceptor, Bell, listen_on_path, listen_on_ports
from .sync import Server

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11 on

__all__ = ["WebSocketServer", "serve"]

logger = logging.getLogger("simple_websocket")

# How many connections beyond the limit are told so at a time; the others are closed without a word.
_MOST_REFUSALS = 64
# How long one of them may take for its request.
_REFUSAL_TIMEOUT = 2.0
# How long `stop` waits for handlers whose connection it has cut.
_CUT_TIMEOUT = 0.5

_STOP_SIGNALS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)


def serve(
    handler: Callable[[Server], object],
    host: str | None = "127.0.0.1",
    port: int = 0,
    *,
    path: str | os.PathLike[str] | None = None,
    sock: Any = None,
    backend: str | Backend | None = None,
    ssl_context: ssl.SSLContext | None = None,
    subprotocols: str | Sequence[str] | None = None,
    http: bytes | Callable[..., Any] | None = None,
    server_class: type[Server] = Server,
    max_connections: int | None = 1000,
    handshake_timeout: float = 10.0,
    max_request_size: int = 16 * 1024,
    backlog: int = 1024,
    reuse_port: bool = False,
    **options: Any,
) -> WebSocketServer:
    """Listen for WebSocket connections, and run a handler for each in a thread or greenlet.

    The server works from now on, until its `stop`, the end of its ``with`` block, or a signal during `serve_forever`.

    :param handler: called with the `Server` of each connection; `ws.environ` is the WSGI environ of its request.  When it
        returns the connection is closed with 1000; when it raises, with 1011, and the log says why.
    :param host: name or address to listen on, all addresses of a name.  Default: this machine alone.  ``None``: everywhere.
    :param port: TCP port.  Default: 0, one that is free; the server's `port` says which.
    :param path: of a Unix socket, instead of host and port.  Default ``None``.
    :param sock: a listening socket, instead of host and port; the server closes it.  Default ``None``.
    :param backend: ``"threading"``, ``"gevent"``, ``"eventlet"`` or a `Backend` record.  Default ``None``: found from what is
        monkey-patched.
    :param ssl_context: for wss://, with a certificate.  Default ``None``: ws://.
    :param subprotocols: the supported subprotocols, a list of names or one name.  Default ``None``: no negotiation.
    :param http: what a GET or HEAD request gets that is no opening handshake: a page as ``bytes``, or a WSGI application.
        Default ``None``: status 426.
    :param server_class: a subclass of `Server`, with another way to choose the subprotocol for example.  Default: `Server`.
    :param max_connections: the most connections at a time; those beyond are answered with 503.  Default: 1000.  ``None``: no
        limit.
    :param handshake_timeout: seconds for TLS and the request together.  Default: 10.
    :param max_request_size: the most bytes that the request line and the headers may have.  Default: 16 KiB.
    :param backlog: the most connections that wait in the kernel.  Default: 1024.
    :param reuse_port: whether other processes may listen on the same port (``SO_REUSEPORT``).  Default: ``False``.
    :param options: the other keyword arguments of `Server`: `ping_interval`, `max_message_size`, `allowed_origins` and so on.
    :return: the server.
    :raises OSError: it cannot listen there, because the port is in use for example.
    :raises TypeError: `Server` has no such argument.
    :raises ValueError: an argument is out of its range, or things of two backends were mixed.
    """
    if (path is not None) + (sock is not None) > 1:
        raise ValueError("listen on a path or on a socket of your own, not on both")
    if max_connections is not None and max_connections < 1:
        raise ValueError(f"max_connections must be at least 1, not {max_connections}")
    if handshake_timeout <= 0 or max_request_size < 1:
        raise ValueError("handshake_timeout and max_request_size must be more than 0")
    classes = [options.pop(name, None) for name in ("thread_class", "event_class", "selector_class")]
    chosen = resolve(sock, backend, *classes)
    _check(server_class, subprotocols, options)
    if isinstance(http, (bytearray, memoryview)):
        http = bytes(http)
    service = Service(
        handler, chosen, ssl_context, subprotocols, http, server_class, handshake_timeout, max_request_size, options
    )
    name = None if path is None else os.fspath(path)
    if sock is not None:
        listeners = [sock]
    elif name is not None:
        listeners = [listen_on_path(chosen, name, backlog)]
    else:
        listeners = listen_on_ports(chosen, host, port, backlog, reuse_port)
    return WebSocketServer(service, listeners, max_connections, name)


def _check(server_class: type[Server], subprotocols: str | Sequence[str] | None, options: dict[str, Any]) -> None:
    """Find mistakes in the options now, rather than with every connection."""
    for taken in ("environ", "sock", "backend"):
        if taken in options:
            raise TypeError(f"{taken} is not for the connections of a server")
    inspect.signature(server_class).bind({}, subprotocols, **options)
    with suppress(ConnectionError):  # this is no request; that is looked at after the options
        server_class({"REQUEST_METHOD": ""}, subprotocols, **options)


class WebSocketServer:
    """A running server; `serve` makes it.

    :param service: what is done with each connection.
    :param listeners: the listening sockets.
    :param max_connections: the most connections at a time, ``None`` for no limit.
    :param path: of the Unix socket to remove at the end, if there is one.
    """

    def __init__(self, service: Service, listeners: list[Any], max_connections: int | None, path: str | None) -> None:
        self._service = service
        self._backend = backend = service.backend
        self._max_connections = max_connections
        self._path = path
        self._node = None if path is None or path.startswith("\0") else os.stat(path).st_ino
        self._addresses = [listener.getsockname() for listener in listeners]
        self._lock = backend.lock()
        self._over = backend.event_class()
        self._accepting = True
        self._stopping = False
        self._exchanges: set[Exchange] = set()
        self._refusals = 0
        bell = Bell(backend)
        self._bells = {bell}
        self._start(self._accept, Acceptor(listeners, backend, bell, self._welcome), bell)

    @property
    def address(self) -> Any:
        """Where it listens: ``(host, port)``, or the path of a Unix socket; the first, where there are several."""
        address = self._addresses[0]
        return address[:2] if isinstance(address, tuple) else address

    @property
    def addresses(self) -> list[Any]:
        """All addresses on which it listens, as `address` is one."""
        return [address[:2] if isinstance(address, tuple) else address for address in self._addresses]

    @property
    def port(self) -> int | None:
        """The TCP port; ``None`` for a Unix socket."""
        return int(self.address[1]) if isinstance(self.address, tuple) else None

    @property
    def connections(self) -> int:
        """How many connections it has, those in the opening handshake included."""
        with self._lock:
            return len(self._exchanges) - self._refusals

    def serve_forever(self) -> None:
        """Wait until the server is stopped; return when it has ended.

        In the main thread, Ctrl-C (SIGINT) and SIGTERM stop it as `stop` does; during the stop, and afterwards, they do what they
        did before.  A signal that is ignored stays so.
        """
        bell = Bell(self._backend)
        try:
            with self._lock:
                self._bells.add(bell)
                waiting = self._accepting and not self._stopping
            with _signals_ring(bell):
                if waiting:
                    bell.wait()
        finally:
            with self._lock:
                self._bells.discard(bell)
            bell.close()
        self.stop()

    def stop(self, timeout: float = 5.0) -> bool:
        """Stop: no connection is taken in any more, and those that are open get Close 1001 (RFC 6455 section 7.4.1).

        Their `receive` and `send` raise ConnectionClosed(1001), and their handlers are waited for.  Where a handler calls this
        itself, it must not be waited for: let the timeout be 0.

        :param timeout: seconds after which the connections that are left are cut.  Default: 5.  0: only begin, and return.
        :return: whether all handlers have ended.
        """
        backend = self._backend
        deadline = backend.clock() + timeout
        with self._lock:
            self._stopping = True
            exchanges = list(self._exchanges)
            for bell in self._bells:
                bell.ring()
        for exchange in exchanges:
            exchange.dismiss()
        if timeout > 0 and not self._ended:
            self._over.wait(max(0.0, deadline - backend.clock()))
            with self._lock:
                exchanges = list(self._exchanges)
            for exchange in exchanges:
                exchange.cut()
            if exchanges:
                self._over.wait(_CUT_TIMEOUT)
            if not self._ended:
                logger.warning("%d of the handlers have not ended in the %g seconds since stop()", self.connections, timeout)
        return self._ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop, and wait for the handlers; but not again after a wait that was interrupted."""
        with self._lock:
            hurried = kind is not None and self._stopping
        self.stop(0.0) if hurried else self.stop()

    @property
    def _ended(self) -> bool:
        with self._lock:
            return not self._accepting and not self._exchanges

    # Taking in connections

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = self._backend.thread_class(target=target, args=arguments)
        if hasattr(thread, "daemon"):
            thread.daemon = True  # a handler that does not end must not keep the program from ending
        thread.start()

    def _accept(self, acceptor: Acceptor, bell: Bell) -> None:
        try:
            acceptor.run()
        except Exception:
            logger.exception("the server takes in no connections any more")
        finally:
            self._remove_path()
            with self._lock:
                self._bells.discard(bell)
                for other in self._bells:
                    other.ring()  # nobody comes any more, even if nobody has asked for that
                self._accepting = False
                over = not self._exchanges
            bell.close()
            if over:
                self._over.set()

    def _remove_path(self) -> None:
        if self._path is not None and self._node is not None:
            with suppress(OSError):
                if os.stat(self._path).st_ino == self._node:  # nobody else has taken the path meanwhile
                    os.unlink(self._path)

    def _welcome(self, sock: Any, peer: Any) -> None:
        with self._lock:
            stopping = self._stopping
            most = self._max_connections
            refused = most is not None and len(self._exchanges) - self._refusals >= most
            if not stopping and (not refused or self._refusals < _MOST_REFUSALS):
                service = _for_refusals(self._service) if refused else self._service
                exchange = Exchange(service, sock, peer, self._leave, refused)
                self._exchanges.add(exchange)
                self._refusals += refused
            else:
                exchange = None
        if exchange is None:
            sock.close()
            return
        try:
            self._start(exchange.run)
        except BaseException:
            exchange.close()
            self._leave(exchange)
            raise

    def _leave(self, exchange: Exchange) -> None:
        with self._lock:
            self._exchanges.discard(exchange)
            self._refusals -= exchange.refused
            over = not self._accepting and not self._exchanges
        if over:
            self._over.set()


def _for_refusals(service: Service) -> Service:
    return replace(service, handshake_timeout=min(service.handshake_timeout, _REFUSAL_TIMEOUT))


@contextmanager
def _signals_ring(bell: Bell) -> Iterator[None]:
    """Let the stop signals ring a bell, in the main thread; elsewhere nothing changes."""
    before: list[tuple[int, Any]] = []
    try:
        for number in _STOP_SIGNALS:
            known = signal.getsignal(number)
            if known is None or known is signal.SIG_IGN:
                continue  # not Python's, or not wanted: as for a program that a shell has put in the background
            try:
                signal.signal(number, lambda *_: bell.ring())
            except ValueError:  # not the main thread
                break
            before.append((number, known))
        yield
    finally:
        for number, known in before:
            signal.signal(number, known)
