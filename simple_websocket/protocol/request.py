"""HTTP/1.1 as a server without a web server needs it: one request in, one response out, over h11.

Used by one thread or greenlet, before there is a WebSocket; no lock.  What h11 raises is turned into our errors here.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

import h11

from ..errors import ConnectionError

__all__ = ["HttpExchange", "HttpRequest"]


class HttpRequest(NamedTuple):
    """The head of a request, and what came behind it."""

    method: str
    #: Request target, as it stands in the request line.
    target: str
    #: "HTTP/1.1" or another.
    version: str
    #: Names are in lower case.
    headers: list[tuple[str, str]]
    #: What was read past the head: a body, or the first frames of a WebSocket.
    leftover: bytes

    @property
    def wants_websocket(self) -> bool:
        """Whether this is meant as an opening handshake, valid or not (RFC 6455 section 4.2.1)."""
        offers = [token.strip().lower() for name, value in self.headers if name == "upgrade" for token in value.split(",")]
        return "websocket" in offers or any(name == "sec-websocket-key" for name, _ in self.headers)


class HttpExchange:
    """Takes bytes until there is a request, and makes the bytes of its response; the connection is not used again.

    :param max_head: the most bytes that the request line and the headers may have together.
    """

    def __init__(self, max_head: int) -> None:
        self._max_head = max_head
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=max_head)
        self._body_allowed = True
        #: How many bytes have come.
        self.received = 0

    def receive_data(self, data: bytes) -> HttpRequest | None:
        """Take bytes; return the request once its head is complete.

        :raises ConnectionError: it is no valid request (`status_code` 400), its head is too large (431), or it has a transfer
            coding that nobody knows (501).
        """
        self.received += len(data)
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 431:
                raise self._too_large() from None
            what = str(error).partition(":")[0]  # without the client's bytes
            raise ConnectionError(error.error_status_hint, detail=what) from None
        if not isinstance(event, h11.Request):
            return None
        leftover, _ = self._http.trailing_data
        if self.received - len(leftover) > self._max_head:
            raise self._too_large()
        method = event.method.decode("ascii")
        self._body_allowed = method != "HEAD"
        version = f"HTTP/{event.http_version.decode('ascii')}"
        headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers]
        request = HttpRequest(method, event.target.decode("ascii"), version, headers, leftover)
        if request.wants_websocket:
            _check_upgrade(request)
        return request

    def _too_large(self) -> ConnectionError:
        return ConnectionError(431, detail=f"the request has more than {self._max_head} bytes before its body")

    def start_response(self, status: str, headers: Iterable[tuple[str, str]]) -> bytes:
        """Return the head of the response; how long its body is follows from its headers, or else it is chunked.

        :param status: status code and reason phrase, as ``"200 OK"``.
        :param headers: as a WSGI application gives them; ``Connection: close`` is added.
        :raises ValueError: the status or a header is not valid.
        """
        code, _, reason = status.partition(" ")
        kept = [(name, value) for name, value in headers if name.lower() != "connection"]
        also = ", upgrade" if any(name.lower() == "upgrade" for name, _ in kept) else ""
        try:
            self._body_allowed = self._body_allowed and int(code) not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
            encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in kept]
            encoded.append((b"Connection", b"close" + also.encode()))
            event = h11.Response(status_code=int(code), reason=reason.encode("latin-1"), headers=encoded)
            return self._http.send(event) or b""
        except h11.LocalProtocolError as error:
            raise ValueError(f"the response is not valid: {error}") from None

    def send_body(self, data: bytes) -> bytes:
        """Return the bytes for a part of the body; none where the response has no body, as that to HEAD.

        :raises ValueError: this is more than the Content-Length.
        """
        if not self._body_allowed or not data:
            return b""
        try:
            return self._http.send(h11.Data(data=data)) or b""
        except h11.LocalProtocolError as error:
            raise ValueError(f"the response is not valid: {error}") from None

    def end_response(self) -> bytes:
        """Return the bytes that end the response.

        :raises ValueError: the body has less than the Content-Length.
        """
        try:
            return self._http.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as error:
            raise ValueError(f"the response is not valid: {error}") from None

    def respond(self, status: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
        """Return a whole response; the length of the body stands in it.

        :raises ValueError: the status or a header is not valid.
        """
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        head = self.start_response(status, [*kept, ("Content-Length", str(len(body)))])
        return head + self.send_body(body) + self.end_response()


def _check_upgrade(request: HttpRequest) -> None:
    """What RFC 6455 section 4.2.1 asks for and does not show in a WSGI environ."""
    if request.version < "HTTP/1.1":
        raise ConnectionError(400, detail="a WebSocket needs HTTP/1.1")
    for name, value in request.headers:
        # A body would stand where the first frame belongs.
        if name == "transfer-encoding" or (name == "content-length" and value.strip("0")):
            raise ConnectionError(400, detail="the opening handshake must not have a body")
