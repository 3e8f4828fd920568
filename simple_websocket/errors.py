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

from collections.abc import Iterable

from wsproto.frame_protocol import CloseReason

__all__ = ["CloseReason", "ConnectionClosed", "ConnectionError", "ProtocolViolation", "SimpleWebsocketError"]


class SimpleWebsocketError(RuntimeError):
    """Base of the exceptions this library raises on purpose."""


class ConnectionError(SimpleWebsocketError):
    """The opening handshake failed (RFC 6455 section 4).

    On a server it is raised before a byte is written, so the application can still answer with HTTP:
    `status_code` and `headers` are what to answer.  On a client they are what the server answered.

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
