"""Dialling: from a URL to a connected socket with TLS.

Used by one thread or greenlet, before the connection exists; no lock.  Sockets are non-blocking throughout, and every wait
goes through the backend, with one deadline for all of it.
"""

from __future__ import annotations

import base64
import errno
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from .backends import Backend
from .transport import complete_tls, wrap_tls

__all__ = ["Url", "dial", "parse_url"]

_PORTS = {"ws": 80, "wss": 443}


class Url(NamedTuple):
    """A WebSocket URL (RFC 6455 section 3), taken apart."""

    secure: bool
    host: str
    port: int
    #: Value of the Host header: with brackets around an IPv6 address, and with a port that is not the scheme's own.
    authority: str
    #: Request target: path and query.
    target: str
    #: Headers that the URL asks for: Authorization, for a user name and password in it.
    headers: list[tuple[str, str]]


def parse_url(url: str) -> Url:
    """Take a WebSocket URL apart.

    :raises ValueError: it is no ws:// or wss:// URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"{url!r} is no WebSocket URL; it has to start with ws:// or wss://")
    if not parts.hostname:
        raise ValueError(f"{url!r} has no host")
    if parts.fragment:
        raise ValueError(f"{url!r} has a fragment, which a WebSocket URL must not have (RFC 6455 section 3)")
    default = _PORTS[parts.scheme]
    port = parts.port if parts.port is not None else default
    host = parts.hostname
    authority = f"[{host}]" if ":" in host else host
    if port != default:
        authority += f":{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = []
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers.append(("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode("ascii")))
    return Url(parts.scheme == "wss", host, port, authority, target, headers)


def dial(url: Url, backend: Backend, context: ssl.SSLContext | None, deadline: float) -> Any:
    """Return a connected non-blocking socket, after TLS for wss://.

    :param url: where to.
    :param backend: where sockets, name resolution and waiting come from.
    :param context: the TLS context, ``None`` for Python's default one.
    :param deadline: when to give up, on the backend's clock.
    :raises OSError: no address answered, or TLS failed (`ssl.SSLError`), or it took too long (`TimeoutError`).
    """
    addresses = backend.getaddrinfo(url.host, url.port, 0, socket.SOCK_STREAM)
    sock = _connect_any(addresses, backend, deadline)
    if not url.secure:
        return sock
    try:
        return _start_tls(sock, url.host, backend, context or ssl.create_default_context(), deadline)
    except BaseException:
        sock.close()
        raise


def _connect_any(addresses: Sequence[Any], backend: Backend, deadline: float) -> Any:
    """Try one address after the other, each with its share of the time that is left; raise what the last one said."""
    failure: OSError = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    for left_over, (family, kind, proto, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            sock = backend.socket(family, kind, proto)
        except OSError as error:  # an address family this machine does not have
            failure = error
            continue
        try:
            now = backend.clock()
            _connect(sock, address, backend, now + (deadline - now) / left_over)
            return sock
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
    raise failure


def _connect(sock: Any, address: Any, backend: Backend, deadline: float) -> None:
    sock.setblocking(False)
    status = sock.connect_ex(address)
    if status in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        waiter = backend.waiter(sock)
        try:
            if not waiter.writable(max(0.0, deadline - backend.clock())):
                raise TimeoutError(errno.ETIMEDOUT, f"no answer from {address[0]} port {address[1]}")
        finally:
            waiter.close()
        status = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if status:
        raise OSError(status, f"{os.strerror(status)}: {address[0]} port {address[1]}")


def _start_tls(sock: Any, host: str, backend: Backend, context: ssl.SSLContext, deadline: float) -> Any:
    secure = wrap_tls(context, sock, server_hostname=host)
    try:
        complete_tls(secure, backend, deadline, host)
    except BaseException:
        secure.close()
        raise
    return secure
