"""Dialling on asyncio: from a URL to a connection whose opening handshake is over.

Everything runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable
from typing import Any

from .aiolink import AioLink
from .dial import Url
from .errors import ConnectionError
from .protocol.handshake import ClientHandshake

__all__ = ["open_link"]

# Seconds until the next address of a name is tried beside the one that has not answered (RFC 8305).
_NEXT_ADDRESS = 0.25


async def open_link(
    url: Url,
    context: ssl.SSLContext | None,
    handshake: ClientHandshake,
    make_link: Callable[[bytes], AioLink],
    timeout: float | None,
) -> AioLink:
    """Connect to a server.

    :param url: where to.
    :param context: for wss://, ``None`` for Python's default one.
    :param handshake: the client's side of the opening handshake.
    :param make_link: makes the link, given the bytes that came behind the handshake.
    :param timeout: seconds for all of it, ``None`` for no limit.
    :raises ConnectionError: the server did not accept, or not in time.
    :raises OSError: no address answered, or TLS failed.
    """
    opening = _open(url, context, handshake, make_link)
    if timeout is None:
        return await opening
    late = ConnectionError(detail=f"no WebSocket connection within {timeout} seconds")
    if sys.version_info >= (3, 11):
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await opening
        except TimeoutError:  # the operating system gives up with the same one
            if limit.expired():
                raise late from None
            raise
    try:
        return await asyncio.wait_for(opening, timeout)
    except asyncio.TimeoutError:
        raise late from None


async def _open(
    url: Url, context: ssl.SSLContext | None, handshake: ClientHandshake, make_link: Callable[[bytes], AioLink]
) -> AioLink:
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {}
    if url.secure:
        options |= {"ssl": context or ssl.create_default_context(), "server_hostname": url.host}
    if isinstance(loop, asyncio.BaseEventLoop):  # uvloop tries one address after the other
        options["happy_eyeballs_delay"] = _NEXT_ADDRESS
    opening = _Opening(handshake, make_link)
    transport, _ = await loop.create_connection(lambda: opening, url.host, url.port, **options)
    try:
        return await opening.opened
    except BaseException:
        transport.abort()
        raise


class _Opening(asyncio.Protocol):
    """A client's connection during its opening handshake, after which the link takes the transport over."""

    def __init__(self, handshake: ClientHandshake, make_link: Callable[[bytes], AioLink]) -> None:
        self._handshake = handshake
        self._make_link = make_link
        self._transport: Any = None
        self.opened: asyncio.Future[AioLink] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._handshake.request)

    def data_received(self, data: bytes) -> None:
        try:
            first = self._handshake.receive_data(data)
        except ConnectionError as error:
            self._fail(error)
            return
        if self._handshake.accepted:
            link = self._make_link(first)
            self._transport.set_protocol(link)
            link.connection_made(self._transport)
            if not self.opened.done():
                self.opened.set_result(link)

    def connection_lost(self, error: Exception | None) -> None:
        try:
            self._handshake.receive_eof()
        except ConnectionError as failure:
            self._fail(failure)

    def _fail(self, error: Exception) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
        self._transport.abort()
