"""The arguments that all four classes have in common: checked once, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .protocol.clock import Keepalive
from .protocol.connection import Protocol
from .protocol.deflate import Compression, DeflateExtension
from .protocol.handshake import Headers, Request
from .protocol.origin import Origins, check_origin
from .protocol.unread import Unread

__all__ = ["Admission", "Options", "names"]


@dataclass(frozen=True)
class Options:
    """Arguments of a connection, described where they are public: at `Server` and `Client`."""

    receive_bytes: int
    ping_interval: float | None
    ping_timeout: float | None
    close_timeout: float
    max_message_size: int | None
    max_unread_messages: int
    max_unread_bytes: int
    compression: bool | Compression

    def __post_init__(self) -> None:
        for name in ("receive_bytes", "max_unread_messages", "max_unread_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("ping_interval", "ping_timeout", "close_timeout", "max_message_size"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, and is {value}")

    @property
    def deflate(self) -> Compression | None:
        """How to use permessage-deflate, ``None`` for not at all."""
        choice = self.compression
        return choice if isinstance(choice, Compression) else Compression() if choice else None

    def protocol(self, client: bool, deflate: DeflateExtension | None, first: bytes, now: float) -> Protocol:
        """Return the state machine of a connection whose opening handshake is over, with what came behind the handshake."""
        keepalive = None
        if self.ping_interval:
            timeout = self.ping_interval if self.ping_timeout is None else self.ping_timeout
            keepalive = Keepalive(self.ping_interval, timeout, now)
        protocol = Protocol(client, deflate, self.max_message_size, self.close_timeout, keepalive)
        protocol.defers_failures = True
        if first:
            protocol.receive_data(first)
        return protocol

    def unread(self) -> Unread:
        """Return the place for messages that nobody has received yet."""
        return Unread(self.max_unread_messages, self.max_unread_bytes)


@dataclass(frozen=True)
class Admission:
    """Who may connect to a server, and what the response says besides; described at `Server`."""

    allowed_origins: Origins
    check_request: Callable[[Request], object] | None
    response_headers: Headers | None

    def check(self, request: Request) -> None:
        """Refuse a request.

        :raises ConnectionError: it is not let in.
        """
        check_origin(request, self.allowed_origins)
        if self.check_request is not None:
            self.check_request(request)


def names(subprotocols: str | Sequence[str] | None) -> list[str]:
    """Return subprotocols as a list, which may be given as one name."""
    return [subprotocols] if isinstance(subprotocols, str) else list(subprotocols or ())
