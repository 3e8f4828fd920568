"""The web server's own socket object, while its connection is a WebSocket.

A server does not use the socket between calling the application and sending what that returned or raised.  So its next use of
the object says that the handler is over, and must not reach the peer, to whom HTTP would be a broken frame.  The object's class
is therefore exchanged for one that closes the WebSocket first and then is the server's socket again: with the connection shut
down, on which every server knows to keep quiet.

`Transport` has bound the methods that it uses before that.  `_handed` is used by any thread; a dictionary's `pop` decides who
is the first.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

from .errors import CloseReason
from .link import Link
from .stopping import told_to_stop

__all__ = ["hand_over"]

# What a server ends a request with.  `read` and `write` of TLS sockets are not here: their `recv` and `send` call them.
_USES = ("send", "sendall", "sendmsg", "sendfile", "recv", "recv_into", "shutdown", "close", "detach", "unwrap")

_kinds: dict[type, type] = {}


class _Handed(NamedTuple):
    """What was done to a socket."""

    link: ref[Link]
    thread: int
    #: Methods that the object itself had, as eventlet's have.
    methods: dict[str, Any]


_handed: WeakKeyDictionary[Any, _Handed] = WeakKeyDictionary()


def hand_over(sock: Any, link: Link) -> None:
    """Have the server's next use of a socket close the WebSocket first.

    :param sock: the server's; an object whose class cannot be exchanged, or that cannot be referred to weakly, stays as it is.
    :param link: what uses the connection now.
    """
    base = type(sock)
    attributes = getattr(sock, "__dict__", {})
    methods = {name: attributes[name] for name in _USES if name in attributes}
    try:
        _handed[sock] = _Handed(ref(link), threading.get_ident(), methods)
    except TypeError:
        return  # it cannot be referred to weakly
    try:
        sock.__class__ = _kinds.get(base) or _kinds.setdefault(base, _kind(base))
    except TypeError:
        _handed.pop(sock, None)
        return
    for name in methods:
        del attributes[name]


def _kind(base: type) -> type:
    uses = {name: _use(base, name) for name in _USES}
    return type(base.__name__, (base,), {"__slots__": (), "__module__": base.__module__, **uses})


def _use(base: type, name: str) -> Any:
    def use(sock: Any, *arguments: Any, **options: Any) -> Any:
        _take_back(sock, base, arguments)
        return getattr(sock, name)(*arguments, **options)

    return use


def _take_back(sock: Any, base: type, arguments: tuple[Any, ...]) -> None:
    sock.__class__ = base
    found = _handed.pop(sock, None)
    if found is None:
        return  # somebody else is doing it
    if found.methods:
        sock.__dict__.update(found.methods)
    link = found.link()
    if link is not None:
        failed = bool(arguments) and isinstance(arguments[0], bytes) and arguments[0][:10] in (b"HTTP/1.1 5", b"HTTP/1.0 5")
        code = CloseReason.INTERNAL_ERROR if failed and not told_to_stop() else CloseReason.GOING_AWAY
        if found.thread == threading.get_ident():
            link.go_away(code, wait=True)
        else:
            link.abandon(code)  # a server's own thread serves others meanwhile
