"""Dialling on asyncio: from a URL to a connection whose opening handshake is over.

Everything runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import sys
from collections.abc import Callable
from itertools import zip_longest
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
    late = f"no WebSocket connection within {timeout} seconds"
    if sys.version_info >= (3, 11):
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await opening
        except TimeoutError:  # the operating system gives up with the same one
            if limit.expired():
                handshake.receive_eof(late)  # a rejection may have come without all of its body
            raise
    try:
        return await asyncio.wait_for(opening, timeout)
    except asyncio.TimeoutError:
        handshake.receive_eof(late)


async def _open(
    url: Url, context: ssl.SSLContext | None, handshake: ClientHandshake, make_link: Callable[[bytes], AioLink]
) -> AioLink:
    options: dict[str, Any] = {}
    if url.secure:
        options = {"ssl": context or ssl.create_default_context(), "server_hostname": url.host}
    opening = _Opening(handshake, make_link)
    sock = await _connect_any(await _resolve(url))
    try:
        await asyncio.get_running_loop().create_connection(lambda: opening, sock=sock, **options)
        return await opening.opened
    except BaseException:
        opening.give_up()
        sock.close()
        raise


async def _resolve(url: Url) -> list[Any]:
    """Return the addresses of a host, its families in turn (RFC 8305 section 4)."""
    try:
        ipaddress.ip_address(url.host.partition("%")[0])
        found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    families = {address[0]: [one for one in found if one[0] == address[0]] for address in found}
    return [one for turn in zip_longest(*families.values()) for one in turn if one is not None]


async def _connect_any(addresses: list[Any]) -> socket.socket:
    """Return a connected socket: to the first address that answers, each tried a little after the one before it (RFC 8305).

    The loop's own way to do this loses a socket when it is cancelled just as that is connected, and uvloop has none.
    """
    if len(addresses) == 1:
        return await _connect(addresses[0])
    attempts: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    try:
        while addresses or attempts:
            if addresses:
                attempts.add(asyncio.ensure_future(_connect(addresses.pop(0))))
            done, _ = await asyncio.wait(
                attempts, timeout=_NEXT_ADDRESS if addresses else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                attempts.discard(attempt)
                error = attempt.exception()
                if error is None:
                    return attempt.result()
                failure = error
        raise failure
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close_result)


async def _connect(address: Any) -> socket.socket:
    family, kind, proto, _, target = address
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, target)
        return sock
    except BaseException:
        sock.close()
        raise


def _close_result(attempt: asyncio.Task[socket.socket]) -> None:
    """Close a socket that is too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


class _Opening(asyncio.Protocol):
    """A client's connection during its opening handshake, after which the link takes the transport over."""

    def __init__(self, handshake: ClientHandshake, make_link: Callable[[bytes], AioLink]) -> None:
        self._handshake = handshake
        self._make_link: Callable[[bytes], AioLink] | None = make_link
        self._transport: Any = None
        self.opened: asyncio.Future[AioLink] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if self.opened.done():
            transport.abort()
        else:
            transport.write(self._handshake.request)

    def data_received(self, data: bytes) -> None:
        try:
            first = self._handshake.receive_data(data)
        except ConnectionError as error:
            self._fail(error)
            return
        if self._handshake.accepted:
            assert self._make_link is not None
            link = self._make_link(first)
            self._make_link = None  # uvloop keeps this protocol with the transport, and so it would keep the connection
            self._transport.set_protocol(link)
            if not self.opened.done():
                self.opened.set_result(link)
            link.connection_made(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        try:
            self._handshake.receive_eof()
        except ConnectionError as failure:
            self._fail(failure)

    def give_up(self) -> None:
        """End the connection; nobody waits for it any more."""
        self.opened.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
        self._transport.abort()
