"""Sockets on asyncio: one's own and aiohttp's transports, taken over after the opening handshake, or refused with an HTTP answer.

Everything runs in the event loop's thread.  Whatever happens here, the socket is closed or belongs to a connection afterwards.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from .aiolink import AioLink, TakenTransport
from .errors import ConnectionError
from .protocol.handshake import rejection

__all__ = ["aiohttp_request", "refuse", "take_over", "take_over_aiohttp"]


async def take_over(sock: Any, response: bytes, make_link: Callable[[], AioLink]) -> None:
    """Write the response that opens the connection, and give the socket to a link.

    :raises ConnectionError: the client has gone.
    """
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    try:
        await loop.sock_sendall(sock, response)
        link = make_link()
        await loop.connect_accepted_socket(lambda: link, sock)
    except OSError:
        sock.close()
        raise ConnectionError(detail="the client has gone during the opening handshake") from None
    except BaseException:
        sock.close()
        raise


async def refuse(sock: Any, error: ConnectionError) -> None:
    """Write an HTTP response that refuses the connection, and close the socket."""
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(sock, rejection(error))
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the client has gone
    finally:
        sock.close()


def aiohttp_request(request: Any) -> tuple[str, str, list[tuple[str, str]]]:
    """Return method, target and headers of aiohttp's request.

    :raises ConnectionError: the client has gone.
    """
    if request.transport is None or request.transport.is_closing():
        raise ConnectionError(400, detail="the client has gone")
    # Not `headers`: those have been decoded, and not every client sends what can be encoded as it was.
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    return request.method, request.raw_path, headers


def take_over_aiohttp(request: Any, response: bytes, make_link: Callable[..., AioLink]) -> None:
    """Write the response that opens the connection, and give aiohttp's transport to a link.

    aiohttp's own protocol is told when the connection has ended: it keeps books.
    """
    protocol, transport = request.protocol, request.transport
    first = getattr(protocol, "_message_tail", b"")
    if first:
        protocol._message_tail = b""
    link = make_link(first, protocol.connection_lost)
    transport.write(response)
    transport.set_protocol(link)
    protocol.transport = TakenTransport(link, transport)
    link.connection_made(transport)
