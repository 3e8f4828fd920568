"""The opening handshake of both roles (RFC 6455 section 4), over wsproto.

Used by one thread, before the connection exists; no lock.  What wsproto and h11 raise is turned into our errors here.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from h11 import LocalProtocolError as H11Error
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, RejectConnection, RejectData, Request
from wsproto.extensions import Extension
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from ..errors import ConnectionError
from .deflate import Compression, DeflateExtension

__all__ = ["ClientHandshake", "Headers", "Request", "ServerHandshake", "add_headers", "rejection"]

#: Additional headers as a user may give them.
Headers = Mapping[str, str] | Sequence[tuple[str, str]]

# The most bytes of a response's header that a client reads, and of a rejection's body that it keeps.
_MAX_HEADER = 64 * 1024
_MAX_BODY = 64 * 1024
_HEADER_END = re.compile(rb"\n\r?\n")
_WRONG = (RemoteProtocolError, LocalProtocolError, H11Error, UnicodeError, ValueError)


class ServerHandshake:
    """Checks a client's request and writes the response to it.

    :param method: HTTP method of the request.
    :param target: its request target.
    :param headers: its headers.
    :param compression: how to use permessage-deflate, or ``None`` for not at all.
    :raises ConnectionError: it is no valid WebSocket handshake (status 400), or one of another version (426).
    """

    def __init__(self, method: str, target: str, headers: Iterable[tuple[str, str]], compression: Compression | None) -> None:
        self._deflate = None if compression is None else DeflateExtension(compression, client=False)
        self._connection = WSConnection(ConnectionType.SERVER)
        if method != "GET":
            raise _rejected(400, f"the method must be GET, not {method}")
        try:
            raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
            self._connection.initiate_upgrade_connection(raw, target.encode("ascii"))
            request = next(self._connection.events())
        except RemoteProtocolError as error:
            hint = error.event_hint
            if isinstance(hint, RejectConnection) and hint.status_code == 426:
                raise _rejected(426, "Sec-WebSocket-Version must be 13", hint.headers) from None
            raise _rejected(400, str(error)) from None
        except (*_WRONG, StopIteration) as error:
            raise _rejected(400, str(error)) from None
        assert isinstance(request, Request)
        _check_key(raw)
        #: The parsed request, as `choose_subprotocol` gets it.
        self.request: Request = request

    def accept(self, subprotocol: str | None, headers: Headers | None = None) -> bytes:
        """Return the response that opens the connection.

        :param subprotocol: one that the client asked for, or ``None``.
        :param headers: additional headers of the response.  Default: none.
        :raises ValueError: the client did not ask for this subprotocol, or a header is not valid.
        """
        extensions: list[Extension] = [] if self._deflate is None else [self._deflate]
        try:
            raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in add_headers(headers)]
            accepted = AcceptConnection(subprotocol=subprotocol, extensions=extensions, extra_headers=raw)
            return self._connection.send(accepted)
        except (LocalProtocolError, H11Error, UnicodeError) as error:
            raise ValueError(f"the handshake cannot be accepted: {error}") from None

    @property
    def deflate(self) -> DeflateExtension | None:
        """permessage-deflate as it was negotiated, ``None`` when it was not."""
        return self._deflate if self._deflate is not None and self._deflate.agreed else None


class ClientHandshake:
    """Writes a client's request and checks the server's response.

    :param host: value of the Host header.
    :param target: request target: path and query.
    :param subprotocols: in order of preference, may be empty.
    :param headers: additional headers; one named Host replaces `host`.
    :param compression: how to use permessage-deflate, or ``None`` for not at all.
    :raises ValueError: a header is not valid.
    """

    def __init__(
        self, host: str, target: str, subprotocols: Sequence[str], headers: Headers | None, compression: Compression | None
    ) -> None:
        self._deflate = None if compression is None else DeflateExtension(compression, client=True)
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._buffer = b""
        self._rejection: RejectConnection | None = None
        self._body = b""
        #: Whether the connection is open.
        self.accepted = False
        self.subprotocol: str | None = None
        extra = []
        for name, value in add_headers(headers):
            if name.lower() == "host":
                host = value
            else:
                extra.append((name, value))
        try:
            raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in extra]
            #: The bytes to send.
            self.request: bytes = self._connection.send(
                Request(
                    host=host,
                    target=target,
                    subprotocols=list(subprotocols),
                    extensions=[] if self._deflate is None else [self._deflate],
                    extra_headers=raw,
                )
            )
        except (LocalProtocolError, H11Error, UnicodeError) as error:
            raise ValueError(f"the handshake request is not valid: {error}") from None

    def receive_data(self, data: bytes) -> bytes:
        """Take bytes of the response; return what came behind it: the first frames, once `accepted` is true.

        :raises ConnectionError: the server rejected the connection, or its response is wrong.
        """
        if self._rejection is None:
            self._buffer += data
            end = _HEADER_END.search(self._buffer)
            if end is None:
                if len(self._buffer) > _MAX_HEADER:
                    raise ConnectionError(detail=f"the response's header has more than {_MAX_HEADER} bytes")
                return b""
            head, rest = self._buffer[: end.end()], self._buffer[end.end() :]
            self._buffer = b""
            self._feed(head)
            if self.accepted:
                return rest
            data = rest
        if data:
            self._feed(data)
        return b""

    def receive_eof(self, detail: str = "the server closed the connection during the opening handshake") -> NoReturn:
        """Take the end of the stream, or of patience.

        :param detail: what to say when no answer has come.  Default: that the server closed the connection.
        :raises ConnectionError: always; the response cannot be completed any more.
        """
        if self._rejection is not None:
            raise self._refused(self._rejection)
        raise ConnectionError(detail=detail)

    def _feed(self, data: bytes) -> None:
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                if isinstance(event, AcceptConnection):
                    self.accepted = True
                    self.subprotocol = event.subprotocol
                elif isinstance(event, RejectConnection):
                    self._rejection = event
                    if not event.has_body:
                        raise self._refused(event)
                else:
                    assert isinstance(event, RejectData)
                    self._body += event.data
                    if self._rejection is not None and (event.body_finished or len(self._body) >= _MAX_BODY):
                        raise self._refused(self._rejection)
        except _WRONG as error:
            if self._rejection is not None:  # the status is known; only its body is wrong
                raise self._refused(self._rejection) from None
            raise ConnectionError(detail=f"the server's response is no WebSocket handshake: {error}") from None

    def _refused(self, event: RejectConnection) -> ConnectionError:
        return _rejected(event.status_code, "the server refused the WebSocket", event.headers, self._body[:_MAX_BODY])

    @property
    def deflate(self) -> DeflateExtension | None:
        """permessage-deflate as it was negotiated, ``None`` when it was not."""
        return self._deflate if self._deflate is not None and self._deflate.agreed else None


def rejection(error: ConnectionError) -> bytes:
    """Return the HTTP response for a failed handshake, for a socket on which nobody else answers."""
    status, headers, body = error.response()
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def add_headers(given: Headers | None, more: Sequence[tuple[str, str]] = ()) -> Sequence[tuple[str, str]]:
    """Return the headers of both, as pairs."""
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given or ())
    return [*pairs, *more]


def _check_key(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Section 4.2.1: the key is the base64 of 16 bytes; wsproto only asks for its presence."""
    keys = [value for name, value in headers if name.lower() == b"sec-websocket-key"]
    try:
        valid = len(keys) == 1 and len(base64.b64decode(keys[0].strip(), validate=True)) == 16
    except binascii.Error:
        valid = False
    if not valid:
        raise _rejected(400, "Sec-WebSocket-Key is not the base64 of 16 bytes")


def _rejected(status: int, detail: str, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b"") -> ConnectionError:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    return ConnectionError(status, headers=pairs, body=body, detail=detail)
