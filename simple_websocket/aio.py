"""The asyncio classes: `AioServer` and `AioClient`.

The same names in the same order as ``sync.py``, and thin as it is: arguments in, a link made, calls passed on.  To be used
from the event loop that made the connection; any number of its tasks may call any method.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from . import asgi as asgi_link
from .aiodial import open_link
from .aiolink import AioLink
from .aiosocket import aiohttp_request, refuse, take_over, take_over_aiohttp
from .asgi import AsgiLink
from .dial import parse_url
from .errors import CloseReason, ConnectionClosed, ConnectionError
from .options import Admission, Options, names
from .protocol.deflate import Compression
from .protocol.handshake import ClientHandshake, Headers, Request, ServerHandshake, add_headers
from .protocol.origin import Origins

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11 on

__all__ = ["AioClient", "AioConnection", "AioServer"]


class AioConnection:
    """What a server's and a client's connection have in common."""

    #: The name of the subprotocol chosen for the WebSocket connection, ``None`` for none.
    subprotocol: str | None = None
    _options: Options
    _link: AioLink | AsgiLink | None = None

    async def receive(self, timeout: float | None = None) -> str | bytes | None:
        """Receive a message (RFC 6455 section 6.2).

        :param timeout: seconds to wait for it.  Default ``None``: as long as it takes.  0: what is there without waiting.
        :return: ``str`` for a text message, ``bytes`` for a binary one, ``None`` when none came in time.
        :raises ConnectionClosed: the connection has ended; all messages received before have been returned.
        """
        return await (self._link or self._not_connected()).receive(timeout)

    async def send(self, data: Any) -> None:
        """Send a message (RFC 6455 section 6.1), whole; from any task.  Waits while the peer is slow.

        A send that is cancelled while it waits has been sent all the same.

        :param data: ``bytes``, ``bytearray`` or ``memoryview`` for a binary message; anything else is sent as text.
        :raises ConnectionClosed: the connection is closing or has ended.
        """
        if (waiting := (self._link or self._not_connected()).send(data)) is not None:
            await waiting

    async def ping(self, payload: bytes = b"") -> None:
        """Send a ping (RFC 6455 section 5.5.2); `latency` tells when its pong has come.

        :param payload: at most 125 bytes.  Default: empty.
        :raises ConnectionClosed: the connection is closing or has ended.
        :raises ValueError: the payload is too long, or the connection is ASGI's, which has no pings.
        """
        await (self._link or self._not_connected()).ping(payload)

    async def close(self, reason: int | None = None, message: str | None = None) -> None:
        """Close the connection (RFC 6455 section 7.1.2), within the close timeout; does nothing when it is closed already.

        Whoever waits in `receive` or `send` is woken with ConnectionClosed.  Messages that arrived before can still be
        received.

        :param reason: close code.  Default ``None``: 1000, normal closure.
        :param message: close reason, a text of at most 123 bytes in UTF-8; what is longer is cut.  Default: empty.
        :raises ValueError: the code may not be sent (RFC 6455 section 7.4).
        """
        await (self._link or self._not_connected()).close(1000 if reason is None else int(reason), message or "")

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as is known."""
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
        """Seconds between the latest ping that was answered and its pong; ``None`` before there is one, and with ASGI."""
        return None if self._link is None else self._link.protocol.latency

    def __aiter__(self) -> Self:
        """Iterate over the messages until the connection ends, however it does; `close_reason` says how."""
        return self

    def __anext__(self) -> Coroutine[Any, Any, str | bytes]:
        if self._link is None:
            raise StopAsyncIteration
        return self._link.receive(None, iterating=True)  # type: ignore[return-value]  # without a timeout there is one

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection: with 1011 after an error, with 1001 when the task is cancelled, else with 1000."""
        if kind is None or issubclass(kind, ConnectionClosed):
            await self.close()
        else:
            await self.close(CloseReason.INTERNAL_ERROR if issubclass(kind, Exception) else CloseReason.GOING_AWAY)

    def __del__(self) -> None:
        link = self._link
        if link is None or link.loop.is_closed():
            return
        try:
            here = asyncio.get_running_loop() is link.loop
        except RuntimeError:
            here = False
        if here:
            link.abandon()
        else:  # garbage is collected in any thread
            link.loop.call_soon_threadsafe(link.abandon)

    def _post(self, message: Any) -> bool:
        return (self._link or self._not_connected()).post(message)

    def _not_connected(self) -> NoReturn:
        raise ConnectionClosed(CloseReason.ABNORMAL_CLOSURE, "not connected; use accept() or connect()")


class AioServer(AioConnection):
    """The server's side of a WebSocket connection, for aiohttp, any ASGI server, or a socket of one's own.

    Use `accept` instead of making instances.

    :param request: what the connection belongs to: aiohttp's request, ASGI's triple, or the socket.
    :param subprotocols: as for `accept`, and so are the others.
    """

    def __init__(
        self,
        request: Any,
        subprotocols: str | Sequence[str] | None = None,
        receive_bytes: int = 4096,
        ping_interval: float | None = None,
        max_message_size: int | None = None,
        *,
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
            receive_bytes=receive_bytes,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_message_size=max_message_size,
            max_unread_messages=max_unread_messages,
            max_unread_bytes=max_unread_bytes,
            compression=compression,
        )
        self._admission = Admission(allowed_origins, check_request, response_headers)
        #: aiohttp's request, ASGI's triple, or the socket.
        self.request = request
        #: The supported subprotocols.
        self.subprotocols = names(subprotocols)

    @classmethod
    async def accept(
        cls,
        aiohttp: Any = None,
        asgi: Any = None,
        sock: Any = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: str | Sequence[str] | None = None,
        receive_bytes: int = 4096,
        ping_interval: float | None = None,
        max_message_size: int | None = None,
        *,
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

        :param aiohttp: the request object from aiohttp.  Return any response when the connection has ended; it goes nowhere.
        :param asgi: the ``(scope, receive, send)`` triple from an ASGI server, which then does pings and compression itself.
        :param sock: a connected socket without TLS; it is closed at the end.  `headers` must be given with it.
        :param headers: the headers of the request that was read from `sock`, a dictionary.
        :param subprotocols: the supported subprotocols, a list of names or one name.  Default ``None``: no negotiation.
        :param receive_bytes: for the likeness to `Server`; the event loop decides how much is read at once.  Default: 4096.
        :param ping_interval: seconds between two pings to the client.  Default ``None``: no pings.  25 is a good value.
        :param max_message_size: the most bytes a message may have, after decompression; a larger one closes the connection
            with 1009.  Default ``None``: no limit.
        :param allowed_origins: which pages may connect, as for `Server`.  Default ``None``: everybody may.
        :param check_request: called with the parsed request; raises ConnectionError to refuse it.  Default ``None``.
        :param response_headers: additional headers of the response, a dictionary or pairs.  Default ``None``.
        :param ping_timeout: seconds within which the peer must give a sign of life after a ping; else the connection is
            closed with 1008.  Default ``None``: `ping_interval`.
        :param close_timeout: seconds that the closing handshake may take.  Default: 5.
        :param compression: whether to use permessage-deflate when the client offers it, or a `Compression` that says how.
            Default: ``True``.
        :param max_unread_messages: stop reading at this many messages that nobody has received.  Default: 256.
        :param max_unread_bytes: stop reading at this many bytes (characters, for text) of them.  Default: 1 MiB.
        :return: the connection.
        :raises ConnectionError: the request is no valid opening handshake (`status_code` 400, or 426 for another version),
            or is not let in (403).  With `sock` that has been answered and the socket closed; otherwise nothing has been written.
        :raises ValueError: not exactly one of `aiohttp`, `asgi` and `sock` was given, or an argument is out of its range.
        """
        given = [one for one in (aiohttp, asgi, sock) if one is not None]
        if len(given) != 1 or (headers is not None and sock is None):
            raise ValueError("give exactly one of aiohttp=, asgi= and sock=; headers= goes with sock=")
        self = cls(
            given[0],
            subprotocols,
            receive_bytes,
            ping_interval,
            max_message_size,
            allowed_origins=allowed_origins,
            check_request=check_request,
            response_headers=response_headers,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            compression=compression,
            max_unread_messages=max_unread_messages,
            max_unread_bytes=max_unread_bytes,
        )
        if aiohttp is not None:
            self._accept_aiohttp(aiohttp)
        elif asgi is not None:
            scope, receive, send = asgi
            await self._accept_asgi(scope, receive, send)
        else:
            await self._accept_socket(sock, headers)
        return self

    @classmethod
    async def reject(
        cls,
        asgi: Any = None,
        sock: Any = None,
        status_code: int = 403,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        """Answer a client's request with an HTTP status instead of accepting it; with aiohttp, return a response for that.

        :param asgi: as for `accept`.  A server without the extension ``websocket.http.response`` answers as it likes to,
            most with 403.
        :param sock: as for `accept`; it is closed.
        :param status_code: HTTP status.  Default: 403.
        :param headers: headers of the response, a dictionary or pairs.  Default ``None``.
        :param body: its body.  Default: empty.
        :raises ValueError: not exactly one of `asgi` and `sock` was given.
        """
        if (asgi is None) == (sock is None):
            raise ValueError("give exactly one of asgi= and sock=")
        if asgi is not None:
            scope, _, send = asgi
            await asgi_link.deny(scope, send, status_code, headers, body)
        else:
            await refuse(sock, ConnectionError(status_code, headers=add_headers(headers), body=body))

    def choose_subprotocol(self, request: Request) -> str | None:
        """Choose the subprotocol for the connection (RFC 6455 section 4.2.2): the client's first that is supported.

        Override it for another way to choose.

        :param request: the client's request, parsed; `request.subprotocols` are the names it asked for.
        :return: one of them, or ``None`` for none.
        """
        return next((name for name in request.subprotocols if name in self.subprotocols), None)

    def _accept_aiohttp(self, request: Any) -> None:
        handshake = ServerHandshake(*aiohttp_request(request), self._options.deflate)
        take_over_aiohttp(request, self._respond(handshake), partial(self._make_link, handshake))

    async def _accept_asgi(self, scope: Any, receive: Any, send: Any) -> None:
        self._choose(await asgi_link.read_request(scope, receive))
        await asgi_link.accept(send, self.subprotocol, self._admission.response_headers)
        self._link = AsgiLink(receive, send, self._options.max_message_size)

    async def _accept_socket(self, sock: Any, headers: Mapping[str, str] | None) -> None:
        if isinstance(sock, ssl.SSLSocket):
            raise ValueError("asyncio cannot take over an ssl.SSLSocket; hand over the plain socket's transport or use Server")
        try:
            if headers is None:
                raise ConnectionError(400, detail="headers= are missing: the request's, which came over sock=")
            handshake = ServerHandshake("GET", "/", headers.items(), self._options.deflate)
            response = self._respond(handshake)
        except ConnectionError as error:
            await refuse(sock, error)
            raise
        except BaseException:
            sock.close()
            raise
        await take_over(sock, response, lambda: self._make_link(handshake, b""))

    def _respond(self, handshake: ServerHandshake) -> bytes:
        self._choose(handshake.request)
        return handshake.accept(self.subprotocol, self._admission.response_headers)

    def _choose(self, request: Request) -> None:
        self._admission.check(request)
        self.subprotocol = self.choose_subprotocol(request)

    def _make_link(self, handshake: ServerHandshake, first: bytes, lost: Any = None) -> AioLink:
        protocol = self._options.protocol(False, handshake.deflate, first, time.monotonic())
        self._link = link = AioLink(protocol, False, self._options.unread(), lost)
        return link


class AioClient(AioConnection):
    """The client's side of a WebSocket connection.

    Use `connect` instead of making instances.

    :param url: where to connect, a ws:// or wss:// URL.
    :param subprotocols: as for `connect`, and so are the others.
    """

    def __init__(
        self,
        url: str,
        subprotocols: str | Sequence[str] | None = None,
        headers: Headers | None = None,
        receive_bytes: int = 4096,
        ping_interval: float | None = None,
        max_message_size: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        *,
        ping_timeout: float | None = None,
        close_timeout: float = 5.0,
        compression: bool | Compression = True,
        max_unread_messages: int = 256,
        max_unread_bytes: int = 1024 * 1024,
    ) -> None:
        self._options = Options(
            receive_bytes=receive_bytes,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_message_size=max_message_size,
            max_unread_messages=max_unread_messages,
            max_unread_bytes=max_unread_bytes,
            compression=compression,
        )
        self._url = parse_url(url)
        self._handshake = ClientHandshake(
            self._url.authority,
            self._url.target,
            names(subprotocols),
            add_headers(headers, self._url.headers),
            self._options.deflate,
        )

    @classmethod
    async def connect(
        cls,
        url: str,
        subprotocols: str | Sequence[str] | None = None,
        headers: Headers | None = None,
        receive_bytes: int = 4096,
        ping_interval: float | None = None,
        max_message_size: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        thread_class: Any = None,
        event_class: Any = None,
        *,
        open_timeout: float | None = 10.0,
        ping_timeout: float | None = None,
        close_timeout: float = 5.0,
        compression: bool | Compression = True,
        max_unread_messages: int = 256,
        max_unread_bytes: int = 1024 * 1024,
    ) -> Self:
        """Connect to a server (RFC 6455 section 4.1).

        :param url: where to connect, a ws:// or wss:// URL.
        :param subprotocols: name of the subprotocol to use, or names in order of preference.  Default ``None``: none.
        :param headers: additional HTTP headers of the request, a dictionary or pairs.  Default ``None``.
        :param receive_bytes: for the likeness to `Client`; the event loop decides how much is read at once.  Default: 4096.
        :param ping_interval: seconds between two pings to the server.  Default ``None``: no pings.
        :param max_message_size: the most bytes a message may have, after decompression; a larger one closes the connection
            with 1009.  Default ``None``: no limit.
        :param ssl_context: for wss://.  Default ``None``: ``ssl.create_default_context()``.
        :param thread_class: not used; for the likeness to `Client`.
        :param event_class: not used; for the likeness to `Client`.
        :param open_timeout: seconds for connecting, TLS and the opening handshake together.  Default: 10.  ``None``: no limit.
        :param ping_timeout: seconds within which the peer must give a sign of life after a ping; else the connection is
            closed with 1008.  Default ``None``: `ping_interval`.
        :param close_timeout: seconds that the closing handshake may take.  Default: 5.
        :param compression: whether to offer permessage-deflate, or a `Compression` that says how.  Default: ``True``.
        :param max_unread_messages: stop reading at this many messages that nobody has received.  Default: 256.
        :param max_unread_bytes: stop reading at this many bytes (characters, for text) of them.  Default: 1 MiB.
        :return: the connection.
        :raises ConnectionError: the server did not accept; `status_code`, `headers` and `body` are its answer, if it gave one.
        :raises OSError: the name was not found, no address answered, or TLS failed.
        :raises ValueError: an argument is out of its range.
        """
        self = cls(
            url,
            subprotocols,
            headers,
            receive_bytes,
            ping_interval,
            max_message_size,
            ssl_context,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            compression=compression,
            max_unread_messages=max_unread_messages,
            max_unread_bytes=max_unread_bytes,
        )
        self._link = await open_link(self._url, ssl_context, self._handshake, self._make_link, open_timeout)
        self.subprotocol = self._handshake.subprotocol
        return self

    def _make_link(self, first: bytes) -> AioLink:
        protocol = self._options.protocol(True, self._handshake.deflate, first, time.monotonic())
        return AioLink(protocol, True, self._options.unread())
