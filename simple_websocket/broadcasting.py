"""Broadcasting: one message to many connections, whose slow peers keep nobody else waiting.

Any thread or task may call it; it takes the connections' own locks, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .errors import ConnectionClosed
from .protocol.payload import PreparedMessage

if TYPE_CHECKING:
    from .aio import AioConnection
    from .sync import Connection

__all__ = ["aio_broadcast", "broadcast"]


def broadcast(connections: Iterable[Connection], data: Any) -> list[Connection]:
    """Send one message to many connections (RFC 6455 section 6.1), encoded once.

    First to those that take it at once; then the others, whose peers are slow, are waited for.  With `ping_interval` a peer that
    takes nothing at all ends.

    :param connections: `Server` and `Client` objects.
    :param data: as for `send`.
    :return: the connections that had ended, or ended meanwhile.
    :raises UnicodeEncodeError: the text has lone surrogates, which UTF-8 cannot express.
    """
    message = PreparedMessage(data)
    slow, ended = _post(connections, message)
    for connection in slow:
        try:
            connection.send(message)
        except ConnectionClosed:
            ended.append(connection)
    return ended


async def aio_broadcast(connections: Iterable[AioConnection], data: Any) -> list[AioConnection]:
    """Send one message to many connections, as `broadcast` does.

    :param connections: `AioServer` and `AioClient` objects.
    :param data: as for `send`.
    :return: the connections that had ended, or ended meanwhile.
    :raises UnicodeEncodeError: the text has lone surrogates, which UTF-8 cannot express.
    """
    message = PreparedMessage(data)
    slow, ended = _post(connections, message)
    for connection in slow:
        try:
            await connection.send(message)
        except ConnectionClosed:
            ended.append(connection)
    return ended


def _post(connections: Iterable[Any], message: PreparedMessage) -> tuple[list[Any], list[Any]]:
    """Send it where it need not be waited for; return the connections where it must, or were lost, and those that had ended."""
    slow, ended = [], []
    for connection in connections:
        try:
            if not connection._post(message):
                slow.append(connection)
        except ConnectionClosed:
            ended.append(connection)
    return slow, ended
