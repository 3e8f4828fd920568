"""WebSocket servers and clients for threads, gevent, eventlet and any WSGI server (RFC 6455, RFC 7692)."""

from typing import TYPE_CHECKING, Any

from .backends import Backend
from .broadcasting import aio_broadcast, broadcast
from .errors import CloseReason, ConnectionClosed, ConnectionError, SimpleWebsocketError
from .going_away import go_away
from .protocol.deflate import Compression
from .protocol.payload import PreparedMessage
from .sync import Client, Server

if TYPE_CHECKING:
    from .aio import AioClient, AioServer
    from .serving import serve

__all__ = [
    "AioClient",
    "AioServer",
    "Backend",
    "Client",
    "CloseReason",
    "Compression",
    "ConnectionClosed",
    "ConnectionError",
    "PreparedMessage",
    "Server",
    "SimpleWebsocketError",
    "__version__",
    "aio_broadcast",
    "broadcast",
    "go_away",
    "serve",
]

__version__ = "2.0.0.dev0"


def __getattr__(name: str) -> Any:
    """Import what not every program needs when it is asked for: those on threads do not pay for asyncio."""
    if name == "serve":
        from .serving import serve

        return serve
    if name in ("AioClient", "AioServer"):
        from . import aio

        return getattr(aio, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
