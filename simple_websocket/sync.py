"""The synchronous classes: `Server` and `Client` for threads, gevent and eventlet.

Thin: arguments in, a `Link` made, calls passed on.  Any thread or greenlet may call any method at any time; the locks are
the link's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import wsgi
from .backends import Backend, resolve
from .dial import dial, parse_url
from .errors import CloseReason, ConnectionClosed
from .handover import hand_over
from .link import Link
from .options import Admission, Options, names
from .protocol.deflate import Compression, DeflateExtension
from .protocol.handshake import ClientHandshake, Headers, Request, ServerHandshake, add_headers
from .protocol.origin import Origins
from .transport import Transport, open_transport

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11 on

__all__ = ["Client", "Connection", "Server"]

_HANDSHAKE_READ = 4096
_FOR_EVER = 10.0**6  # seconds; what poll takes is limited


class Connection:
    """What a server's and a client's connection have in common."""

    #: The name of the subprotocol chosen for the WebSocket connection, ``None`` for none.
    subprotocol: str | None = None

    _options: Options
    _link: Link | None = None

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """Receive a message (RFC 6455 section 6.2).

        :param timeout: seconds to wait for it.  Default ``None``: as long as it takes.  0: what is there without waiting.
        :return: ``str`` for a text message, ``bytes`` for a binary one, ``None`` when none came in time.
        :raises ConnectionClosed: the connection has ended; all messages received before have been returned.
        """
        link = self._link
        assert link is not None  # without the cost of a property for every message
        return link.receive(timeout)

    def send(self, data: Any) -> None:
        """Send a message (RFC 6455 section 6.1), whole; safe from any thread or greenlet.  Waits while the peer is slow.

        :param data: ``bytes``, ``bytearray`` or ``memoryview`` for a binary message; anything else is sent as text.
        :raises ConnectionClosed: the connection is closing or has ended.
        """
        link = self._link
        assert link is not None  # as above
        link.send(data)

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping (RFC 6455 section 5.5.2); `latency` tells when its pong has come.

        :param payload: at most 125 bytes.  Default: empty.
        :raises ConnectionClosed: the connection is closing or has ended.
        :raises ValueError: the payload is too long.
        """
        self._open_link.ping(payload)

    def close(self, reason: int | None = None, message: str | None = None) -> None:
        """Close the connection (RFC 6455 section 7.1.2), within the close timeout; does nothing when it is closed already.

        Whoever waits in `receive` or `send` is woken with ConnectionClosed.  Messages that arrived before can still be
        received.

        :param reason: close code.  Default ``None``: 1000, normal closure.
        :param message: close reason, a text of at most 123 bytes in UTF-8; what is longer is cut.  Default: empty.
        :raises ValueError: the code may not be sent (RFC 6455 section 7.4).
        """
        self._open_link.close(CloseReason.NORMAL_CLOSURE if reason is None else int(reason), message or "")

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as is known without reading."""
        return self._link is not None and self._link.protocol.open

    @property
    def close_reason(self) -> int | None:
        """Close code with which the connection ended (RFC 6455 section 7.1.5); ``None`` until then."""
        status = None if self._link is None else self._link.protocol.close_status
        return None if status is None else ConnectionClosed(*status).reason

    @property
    def close_message(self) -> str | None:
        """Close reason with which the connection ended, a text; ``None`` until then or when there is none."""
        status = None if self._link is None else self._link.protocol.close_status
        return None if status is None else status[1]

    @property
    def latency(self) -> float | None:
        """Seconds between the latest ping that was answered and its pong; ``None`` before there is one."""
        return None if self._link is None else self._link.protocol.latency

    def __iter__(self) -> Iterator[str | bytes]:
        """Iterate over the messages until the connection ends, however it does; `close_reason` says how."""
        while True:
            try:
                message = self.receive()
            except ConnectionClosed:
                return
            assert message is not None  # without a timeout there is one
            yield message

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Close the connection: with 1011 after an error, with 1001 when the program is being stopped, else with 1000."""
        if kind is None or issubclass(kind, ConnectionClosed):
            self.close()
        else:
            self.close(CloseReason.INTERNAL_ERROR if issubclass(kind, Exception) else CloseReason.GOING_AWAY)

    def __del__(self) -> None:
        if self._link is not None:
            self._link.abandon()

    @property
    def _open_link(self) -> Link:
        assert self._link is not None  # made by every constructor that returns
        return self._link

    def _go_away(self) -> None:
        self._open_link.go_away()

    def _post(self, message: Any) -> bool | None:
        return self._link.outbound.post(message)  # type: ignore[union-attr]  # without the cost of a property

    def _start(
        self, transport: Transport, backend: Backend, deflate: DeflateExtension | None, first: bytes, *, client: bool, owned: bool
    ) -> Link:
        """Make the link; the opening handshake is over, and the peer has sent `first` behind it."""
        options = self._options
        protocol = options.protocol(client, deflate, first, backend.clock())
        self._link = Link(transport, backend, protocol, client, owned, options.receive_bytes, options.unread())
        return self._link


class Server(Connection):
    """The server's side of a WebSocket connection, for one request of a WSGI application.

    The web server keeps its socket: it is shut down when the connection ends, and never closed here, so that an application
    may then return any response; it goes nowhere.  An application that returns or raises with the connection open closes it.

    :param environ: the WSGI environ of the request.  The connection's socket is looked for in it; Werkzeug, gunicorn,
        gevent.pywsgi, eventlet.wsgi, wsgiref, waitress, cheroot and uWSGI are supported.
    :param subprotocols: the supported subprotocols, a list of names or one name.  Default ``None``: no negotiation.
    :param receive_bytes: how much to read at once, in bytes.  Default: 4096.  Larger payloads are read in larger steps.
    :param ping_interval: seconds between two pings to the client.  Default ``None``: no pings.  25 is a good value.
    :param max_message_size: the most bytes a message may have, after decompression; a larger one closes the connection with
        1009.  Default ``None``: no limit.
    :param thread_class: class of the background thread, called with ``target=``.  Default ``None``: the backend's.
    :param event_class: class of events.  Default ``None``: the backend's.
    :param selector_class: class of the selector.  Default ``None``: the backend's.
    :param sock: the connected socket, for a web server that is not supported; whoever made it closes it.  Default ``None``.
    :param backend: ``"threading"``, ``"gevent"``, ``"eventlet"`` or a `Backend` record.  Default ``None``: found from the
        classes above, the socket, or what is monkey-patched.
    :param allowed_origins: which pages may connect (RFC 6455 section 10.2): an origin as ``"https://example.com"``, a compiled
        regular expression that matches whole origins, a function that is called with the origin, or several of these; ``None``
        among them is for clients that name no origin, as those outside browsers do.  Default ``None``: everybody may.
    :param check_request: called with the parsed request before it is accepted; raises ConnectionError to refuse it.  Default
        ``None``.
    :param response_headers: additional headers of the response, such as cookies; a dictionary or pairs.  Default ``None``.
    :param ping_timeout: seconds within which the peer must give a sign of life after a ping; else the connection is closed
        with 1008.  Default ``None``: `ping_interval`.
    :param close_timeout: seconds that the closing handshake may take.  Default: 5.
    :param compression: whether to use permessage-deflate when the client offers it, or a `Compression` that says how.
        Default: ``True``.
    :param max_unread_messages: stop reading ahead at this many messages that nobody has received.  Default: 256.
    :param max_unread_bytes: stop reading ahead at this many bytes (characters, for text) of them.  Default: 1 MiB.
    :raises ConnectionError: the request is no valid opening handshake (`status_code` 400, or 426 for another version), its
        origin is not allowed (403), or the socket was not found (500).  Nothing has been written then, so the application can
        answer; the exception itself is a WSGI application that does.
    :raises ValueError: an argument is out of its range, or things of two backends were mixed.
    """

    def __init__(
        self,
        environ: dict[str, Any],
        subprotocols: str | Sequence[str] | None = None,
        receive_bytes: int = 4096,
        ping_interval: float | None = None,
        max_message_size: int | None = None,
        thread_class: Any = None,
        event_class: Any = None,
        selector_class: Any = None,
        *,
        sock: Any = None,
        backend: str | Backend | None = None,
        allowed_origins: Origins = None,
        check_request: Callable[[Request], object] | None = None,
        response_headers: Headers | None = None,
        ping_timeout: float | None = None,
        close_timeout: float = 5.0,
        compression: bool | Compression = True,
        max_unread_messages: int = 256,
        max_unread_bytes: int = 1024 * 1024,
    ) -> None:
        self._options = Options(
            receive_bytes,
            ping_interval,
            ping_timeout,
            close_timeout,
            max_message_size,
            max_unread_messages,
            max_unread_bytes,
            compression,
        )
        #: The WSGI environ of the request.
        self.environ = environ
        #: The supported subprotocols.
        self.subprotocols = names(subprotocols)
        handshake = ServerHandshake(*wsgi.request_parts(environ), self._options.deflate)
        Admission(allowed_origins, check_request, response_headers).check(handshake.request)
        self.subprotocol = self.choose_subprotocol(handshake.request)
        response = handshake.accept(self.subprotocol, response_headers)
        found = wsgi.find_socket(environ) if sock is None else wsgi.own_socket(environ, sock)
        try:
            chosen = resolve(found.sock, backend or found.backend, thread_class, event_class, selector_class)
        except BaseException:
            if found.copied:
                found.sock.close()
            raise
        #: How the request ends: as on "werkzeug", "gunicorn", "gevent", "eventlet" or "uwsgi"; "custom" for a socket of your own.
        self.mode = found.mode
        transport = open_transport(found.sock, chosen)
        found.accepted()
        try:
            transport.write_all(response, chosen.clock() + self._options.close_timeout)
        except OSError:
            pass  # the client has gone already: the first call of receive or send says so
        link = self._start(transport, chosen, handshake.deflate, found.leftover, client=False, owned=found.copied)
        if found.servers_own:
            hand_over(found.sock, link)

    @classmethod
    def accept(
        cls,
        environ: dict[str, Any],
        subprotocols: str | Sequence[str] | None = None,
        receive_bytes: int = 4096,
        ping_interval: float | None = None,
        max_message_size: int | None = None,
        thread_class: Any = None,
        event_class: Any = None,
        selector_class: Any = None,
        *,
        sock: Any = None,
        backend: str | Backend | None = None,
        allowed_origins: Origins = None,
        check_request: Callable[[Request], object] | None = None,
        response_headers: Headers | None = None,
        ping_timeout: float | None = None,
        close_timeout: float = 5.0,
        compression: bool | Compression = True,
        max_unread_messages: int = 256,
        max_unread_bytes: int = 1024 * 1024,
    ) -> Self:
        """Accept a WebSocket connection from a client (RFC 6455 section 4.2).

        Takes the arguments of the class, and raises what it raises.

        :return: the connection.
        """
        return cls(
            environ,
            subprotocols,
            receive_bytes,
            ping_interval,
            max_message_size,
            thread_class,
            event_class,
            selector_class,
            sock=sock,
            backend=backend,
            allowed_origins=allowed_origins,
            check_request=check_request,
            response_headers=response_headers,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            compression=compression,
            max_unread_messages=max_unread_messages,
            max_unread_bytes=max_unread_bytes,
        )

    def choose_subprotocol(self, request: Request) -> str | None:
        """Choose the subprotocol for the connection (RFC 6455 section 4.2.2): the client's first that is supported.

        Override it for another way to choose.

        :param request: the client's request, parsed; `request.subprotocols` are the names it asked for.
        :return: one of them, or ``None`` for none.
        """
        return next((name for name in request.subprotocols if name in self.subprotocols), None)


class Client(Connection):
    """The client's side of a WebSocket connection.

    :param url: where to connect, a ws:// or wss:// URL.
    :param subprotocols: name of the subprotocol to use, or names in order of preference.  Default ``None``: none.
    :param headers: additional HTTP headers of the request, a dictionary or pairs.  Default ``None``.
    :param receive_bytes: how much to read at once, in bytes.  Default: 4096.  Larger payloads are read in larger steps.
    :param ping_interval: seconds between two pings to the server.  Default ``None``: no pings.
    :param max_message_size: the most bytes a message may have, after decompression; a larger one closes the connection with
        1009.  Default ``None``: no limit.
    :param ssl_context: for wss://.  Default ``None``: ``ssl.create_default_context()``.
    :param thread_class: class of the background thread, called with ``target=``.  Default ``None``: the backend's.
    :param event_class: class of events.  Default ``None``: the backend's.
    :param selector_class: class of the selector.  Default ``None``: the backend's.
    :param backend: ``"threading"``, ``"gevent"``, ``"eventlet"`` or a `Backend` record.  Default ``None``: found from the
        classes above, or what is monkey-patched.
    :param open_timeout: seconds for connecting, TLS and the opening handshake together.  Default: 10.  ``None``: no limit.
    :param ping_timeout: seconds within which the peer must give a sign of life after a ping; else the connection is closed
        with 1008.  Default ``None``: `ping_interval`.
    :param close_timeout: seconds that the closing handshake may take.  Default: 5.
    :param compression: whether to offer permessage-deflate, or a `Compression` that says how.  Default: ``True``.
    :param max_unread_messages: stop reading ahead at this many messages that nobody has received.  Default: 256.
    :param max_unread_bytes: stop reading ahead at this many bytes (characters, for text) of them.  Default: 1 MiB.
    :raises ConnectionError: the server did not accept; `status_code`, `headers` and `body` are its answer, if it gave one.
    :raises OSError: the name was not found, no address answered, or TLS failed.
    :raises ValueError: an argument is out of its range, or things of two backends were mixed.
    """

    def __init__(
        self,
        url: str,
        subprotocols: str | Sequence[str] | None = None,
        headers: Headers | None = None,
        receive_bytes: int = 4096,
        ping_interval: float | None = None,
        max_message_size: int | None = None,
        ssl_context: SSLContext | None = None,
        thread_class: Any = None,
        event_class: Any = None,
        *,
        selector_class: Any = None,
        backend: str | Backend | None = None,
        open_timeout: float | None = 10.0,
        ping_timeout: float | None = None,
        close_timeout: float = 5.0,
        compression: bool | Compression = True,
        max_unread_messages: int = 256,
        max_unread_bytes: int = 1024 * 1024,
    ) -> None:
        self._options = Options(
            receive_bytes,
            ping_interval,
            ping_timeout,
            close_timeout,
            max_message_size,
            max_unread_messages,
            max_unread_bytes,
            compression,
        )
        target = parse_url(url)
        chosen = resolve(None, backend, thread_class, event_class, selector_class)
        handshake = ClientHandshake(
            target.authority, target.target, names(subprotocols), add_headers(headers, target.headers), self._options.deflate
        )
        deadline = chosen.clock() + (_FOR_EVER if open_timeout is None else open_timeout)
        transport = open_transport(dial(target, chosen, ssl_context, deadline), chosen)
        try:
            first = _shake_hands(handshake, transport, chosen, deadline)
        except BaseException:
            transport.shutdown()
            transport.close()
            raise
        self.subprotocol = handshake.subprotocol
        self._start(transport, chosen, handshake.deflate, first, client=True, owned=True)

    @classmethod
    def connect(
        cls,
        url: str,
        subprotocols: str | Sequence[str] | None = None,
        headers: Headers | None = None,
        receive_bytes: int = 4096,
        ping_interval: float | None = None,
        max_message_size: int | None = None,
        ssl_context: SSLContext | None = None,
        thread_class: Any = None,
        event_class: Any = None,
        *,
        selector_class: Any = None,
        backend: str | Backend | None = None,
        open_timeout: float | None = 10.0,
        ping_timeout: float | None = None,
        close_timeout: float = 5.0,
        compression: bool | Compression = True,
        max_unread_messages: int = 256,
        max_unread_bytes: int = 1024 * 1024,
    ) -> Self:
        """Connect to a server (RFC 6455 section 4.1).

        Takes the arguments of the class, and raises what it raises.

        :return: the connection.
        """
        return cls(
            url,
            subprotocols,
            headers,
            receive_bytes,
            ping_interval,
            max_message_size,
            ssl_context,
            thread_class,
            event_class,
            selector_class=selector_class,
            backend=backend,
            open_timeout=open_timeout,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            compression=compression,
            max_unread_messages=max_unread_messages,
            max_unread_bytes=max_unread_bytes,
        )


def _shake_hands(handshake: ClientHandshake, transport: Transport, backend: Backend, deadline: float) -> bytes:
    """Exchange the opening handshake; return what the server sent behind it."""
    trouble = "the server closed the connection during the opening handshake"
    try:
        transport.write_all(handshake.request, deadline)
    except OSError as error:
        trouble = f"the connection was lost during the opening handshake: {error}"  # but the server may have answered before
    while True:
        data = transport.read(_HANDSHAKE_READ, max(0.0, deadline - backend.clock()))
        if data is None:
            trouble = "the server did not answer the opening handshake in time"
        if not data:
            handshake.receive_eof(trouble)
        first = handshake.receive_data(data or b"")
        if handshake.accepted:
            return first
