"""Every exception of the library.

::

    RuntimeError
     └── SimpleWebsocketError      anything this library raises on purpose
          ├── ConnectionError      there is no WebSocket connection: the opening handshake failed
          └── ConnectionClosed     there was one, and it has ended

    Exception
     └── ProtocolViolation         internal: what the peer did wrong; becomes a Close frame, never reaches a user

Wrong arguments are ``ValueError`` and ``TypeError``, as everywhere in Python.  Name resolution and ``connect`` raise ``OSError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from wsproto.frame_protocol import CloseReason

__all__ = ["CloseReason", "ConnectionClosed", "ConnectionError", "ProtocolViolation", "SimpleWebsocketError"]


class SimpleWebsocketError(RuntimeError):
    """Base of the exceptions this library raises on purpose."""


class ConnectionError(SimpleWebsocketError):
    """The opening handshake failed (RFC 6455 section 4).

    On a server it is raised before a byte is written, so the application can still answer with HTTP:
    `status_code` and `headers` are what to answer, and the exception is a WSGI application that answers so (in Flask:
    ``return error``).  On a client they are what the server answered.

    :param status_code: HTTP status of the rejection, ``None`` when there was no HTTP answer.
    :param headers: HTTP headers of the rejection as ``(name, value)`` pairs.  Default: none.
    :param body: the part of the response's body that was read, in bytes.  Default: empty.
    :param detail: what happened, for people.  Default: derived from the status code.
    """

    def __init__(
        self,
        status_code: int | None = None,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        detail: str | None = None,
    ) -> None:
        self.status_code = status_code
        self.headers = list(headers)
        self.body = body
        text = f"Connection error: {status_code}"
        super().__init__(f"{text} ({detail})" if detail else text)

    def response(self) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return an HTTP response that says so: status line without the version, headers, body."""
        status = self.status_code or 400
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
        body = self.body or f"{self}\n".encode()
        headers = [pair for pair in self.headers if pair[0].lower() not in ("content-length", "connection")]
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "text/plain; charset=utf-8"))
        return f"{status} {phrase}", [*headers, ("Content-Length", str(len(body)))], body

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """Answer a request with `response`: a WSGI application (PEP 3333)."""
        status, headers, body = self.response()
        start_response(status, headers)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]


class ConnectionClosed(SimpleWebsocketError):
    """The WebSocket connection has ended (RFC 6455 section 7.1.5).

    :param reason: close code: the peer's, the one with which this side failed the connection, or 1006 when the
        connection was lost without a Close frame.  Default: 1005, no code was given.
    :param message: close reason, a text for people, or ``None``.
    """

    def __init__(self, reason: int = CloseReason.NO_STATUS_RCVD, message: str | None = None) -> None:
        try:
            self.reason: int = CloseReason(reason)
        except ValueError:
            self.reason = reason  # 3000-4999: codes of libraries and applications
        self.message = message
        super().__init__(f"Connection closed: {int(self.reason)} {message or ''}".rstrip())


class ProtocolViolation(Exception):
    """The peer broke the protocol or a limit; carries the close code to fail the connection with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
