"""A socket of one's own on asyncio: taken over after the opening handshake, or refused with an HTTP answer.

Everything runs in the event loop's thread.  Whatever happens here, the socket is closed or belongs to a connection afterwards.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from .aiolink import AioLink
from .errors import ConnectionError
from .protocol.handshake import rejection

__all__ = ["refuse", "take_over"]


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
