"""WebSocket servers and clients for threads, gevent, eventlet and any WSGI server (RFC 6455, RFC 7692)."""

from .aio import AioClient, AioServer
from .backends import Backend
from .errors import CloseReason, ConnectionClosed, ConnectionError, SimpleWebsocketError
from .protocol.deflate import Compression
from .sync import Client, Server

__all__ = [
    "AioClient",
    "AioServer",
    "Backend",
    "Client",
    "CloseReason",
    "Compression",
    "ConnectionClosed",
    "ConnectionError",
    "Server",
    "SimpleWebsocketError",
    "__version__",
]

__version__ = "2.0.0.dev0"
