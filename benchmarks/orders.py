"""What a subject's process is told to be, and the listening socket that it serves.

The socket is made here and handed to every server, so that all have the same options: a connection inherits TCP_NODELAY
from the socket that accepted it.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["BACKLOG", "HOST", "Orders", "Setup", "listen"]

HOST = "127.0.0.1"
BACKLOG = 4096


@dataclass(frozen=True)
class Orders:
    """How a subject shall serve.

    :param name: which subject.
    :param mode: one of `cases.MODES`.
    :param role: ``"echo"``, or ``"broadcast"``: what one connection sends goes to all of them.
    :param ping_interval: seconds between keepalive pings, ``None`` for none.
    :param certificate: file with certificate and key, for TLS.
    :param helper: whether our library's own helper sends broadcasts, where it has one; else a loop of ``send``.
    :param tree: folder of another version of our library, to be used instead of this one.
    """

    name: str
    mode: str = "plain"
    role: str = "echo"
    ping_interval: float | None = None
    certificate: str = ""
    helper: bool = True
    tree: str = ""

    def dump(self) -> str:
        """Return it as an argument for a process."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Orders:
        """Return what `dump` made a text of."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Setup:
    """What a subject's function gets.

    :param listener: a listening socket.
    :param orders: how to serve.
    :param ready: to be called once connections are accepted, or will be in a moment.
    """

    listener: socket.socket
    orders: Orders
    ready: Callable[[], None]

    @property
    def deflate(self) -> bool:
        """Whether permessage-deflate shall be used; otherwise clients do not offer it."""
        return self.orders.mode == "deflate"

    @property
    def broadcasts(self) -> bool:
        """Whether the role is to broadcast."""
        return self.orders.role == "broadcast"

    def tls(self, module: Any = ssl) -> Any:
        """Return a context for TLS, ``None`` for plain sockets.

        :param module: that makes it, where sockets are green.  Default: `ssl`.
        """
        if self.orders.mode != "tls":
            return None
        context = module.SSLContext(module.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.orders.certificate)
        return context


def listen() -> socket.socket:
    """Return a listening socket on a free port of the loopback interface."""
    listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
