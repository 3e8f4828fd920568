"""A selector for greenlets: one epoll object, on whose own descriptor the hub waits.

The connections' sockets are registered with the kernel once, not with the hub: a wake-up costs the same for ten and for
ten thousand of them, and the hub's rule of one listener per socket is left to whoever reads it.
"""

from __future__ import annotations

import select
import selectors
from collections.abc import Mapping
from typing import Any

from . import Waiter

__all__ = ["HubSelector"]

_EVENTS_AT_ONCE = 1024
_IN, _OUT = getattr(select, "EPOLLIN", 0), getattr(select, "EPOLLOUT", 0)


class HubSelector(selectors.BaseSelector):
    """A `selectors.BaseSelector` over epoll that parks only the calling greenlet.

    :param epoll: the `select.epoll` object to use; a patched `select` module has lost that class, the preset has not.
    :param waiter: a `Waiter` for it, which must not keep the hub's loop alive.
    """

    def __init__(self, epoll: Any, waiter: Waiter) -> None:
        self._epoll = epoll
        self._waiter = waiter
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Start to watch a file object."""
        key = selectors.SelectorKey(fileobj, _descriptor(fileobj), events, data)
        if key.fd in self._keys:
            raise KeyError(f"{fileobj!r} is registered already")
        self._epoll.register(key.fd, self._mask(events))
        self._keys[key.fd] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Stop to watch a file object, which may be closed already; KeyError when it was not watched."""
        fd = _descriptor(fileobj)
        if fd not in self._keys:  # closed, so that it does not know its descriptor any more
            fd = next((known for known, key in self._keys.items() if key.fileobj is fileobj), -1)
        key = self._keys.pop(fd)
        try:
            self._epoll.unregister(fd)
        except OSError:  # the kernel has forgotten it with the close
            pass
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what a file object is watched for."""
        key = selectors.SelectorKey(fileobj, _descriptor(fileobj), events, data)
        self._epoll.modify(key.fd, self._mask(events))
        self._keys[key.fd] = key
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the file objects that are ready, after `timeout` seconds at the latest."""
        found = self._epoll.poll(0, _EVENTS_AT_ONCE)
        if not found and (timeout is None or timeout > 0) and self._waiter.readable(timeout):
            found = self._epoll.poll(0, _EVENTS_AT_ONCE)
        ready = []
        for fd, mask in found:
            key = self._keys.get(fd)
            if key is not None:
                # Errors and hang-ups make a socket ready for whatever it is watched for.
                events = selectors.EVENT_READ if mask & ~_OUT else 0
                events |= selectors.EVENT_WRITE if mask & ~_IN else 0
                ready.append((key, events & key.events))
        return ready

    def fileno(self) -> int:
        """Return the descriptor that is readable while something is ready: for who wants the hub to see that he waits."""
        return int(self._epoll.fileno())

    def close(self) -> None:
        """Free the epoll object."""
        self._keys.clear()
        self._waiter.close()
        self._epoll.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return the registered keys by descriptor."""
        return self._keys

    @staticmethod
    def _mask(events: int) -> int:
        return (_IN if events & selectors.EVENT_READ else 0) | (_OUT if events & selectors.EVENT_WRITE else 0)


def _descriptor(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
