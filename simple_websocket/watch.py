"""What the keeper watches: the connections' sockets and their deadlines, and what it needs of a connection.

All of it belongs to the keeper's own thread, but for `Sockets.wake`.
"""

from __future__ import annotations

import heapq
import selectors
from itertools import count
from typing import Any, Protocol

from .backends import Backend, Lock

__all__ = ["KEEPER", "NOBODY", "RECEIVER", "Deadlines", "Sockets", "Watched"]

#: To whom reading a connection is left: to nobody, so the keeper looks at it from time to time; to who waits in receive; to the
#: keeper, who has adopted it.
NOBODY, RECEIVER, KEEPER = 0, 1, 2


class Clocked(Protocol):
    """What the keeper needs of a connection's state machine."""

    def next_deadline(self) -> float | None: ...


class Watched(Protocol):
    """What the keeper needs of a connection; the `Link` of ``link.py`` is one.  The last three are the keeper's, but that
    `Keeper.was_read` takes the last one back."""

    finished: bool  # it has ended, or somebody is ending it
    read_lock: Lock  # held by whoever reads
    turn: int  # counts the calls of receive
    watched: bool  # its socket is in the keeper's selector
    seen: int  # `turn` when the keeper looked last
    left_to: int  # NOBODY, RECEIVER or KEEPER; while it is somebody, who reads it tells with `was_read`

    @property
    def protocol(self) -> Clocked: ...
    @property
    def sock(self) -> Any: ...
    def needs(self) -> tuple[bool, bool]: ...
    def pump(self, reading: bool = True, writing: bool = False) -> bool: ...
    def on_deadline(self, now: float) -> None: ...
    def go_away(self) -> None: ...
    def vanish(self) -> None: ...
    def disown(self) -> None: ...


class Sockets:
    """The selector, with the sockets that wake it; belongs to the keeper's thread, but for `wake`."""

    def __init__(self, backend: Backend) -> None:
        self._selector: Any = backend.selector_class()
        try:
            self._wake_in, self._wake_out = backend.socketpair()
        except BaseException:  # no more descriptors
            self._selector.close()
            raise
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._masks: dict[Watched, int] = {}
        self._read: set[Watched] = set()
        #: Whether this is a forked child's copy.  What the kernel keeps for the selector is the parent's too, and so is the byte
        #: that wakes it: such a copy may be closed and nothing else.
        self.orphaned = False

    def reads(self, link: Watched) -> bool:
        """Whether a connection is watched for reading."""
        return link in self._read

    def wake(self) -> None:
        """Have `select` return."""
        try:
            self._wake_out.send(b"\0")
        except OSError:
            pass  # it has been woken often enough, or has just ended, which it does only when there is nothing to do
        except BaseException:
            self.wake()  # a signal handler's exception came first, and the keeper has to know all the same
            raise

    def select(self, timeout: float | None) -> list[tuple[Watched, int]]:
        """Return the connections that are ready, and for what, after `timeout` seconds at the latest."""
        ready = [(key.data, mask) for key, mask in self._selector.select(timeout)]
        if self.orphaned:
            return []
        if any(link is None for link, _ in ready):
            try:
                self._wake_in.recv(4096)
            except OSError:
                pass
        return [(link, mask) for link, mask in ready if link is not None]

    def watch(self, link: Watched, mask: int) -> Watched | None:
        """Watch a connection for reading, writing or both; return a stale one that is in the way, then nothing has changed."""
        known = self._masks.get(link)
        if known == mask or self.orphaned:
            return None
        if known is not None:
            self._masks[link] = mask
            self._selector.modify(link.sock, mask, link)
            self._note(link, mask)
            return None
        link.watched = True
        try:
            self._selector.register(link.sock, mask, link)
            self._masks[link] = mask
            self._note(link, mask)
        except KeyError:
            # The web server closed a connection's descriptor without a word, and the number is in use again.
            stale: Watched = self._selector.get_map()[link.sock.fileno()].data
            return stale
        except (ValueError, OSError):
            if not link.finished:  # then somebody has just closed it
                link.vanish()
        if link.finished:  # by somebody who saw `watched` too early to tell us
            self.unwatch(link)
        return None

    def _note(self, link: Watched, mask: int) -> None:
        if mask & selectors.EVENT_READ:
            self._read.add(link)
        else:
            self._read.discard(link)

    def unwatch(self, link: Watched) -> None:
        """Watch a connection no more."""
        self._read.discard(link)
        if self._masks.pop(link, None) is not None and not self.orphaned:
            try:
                self._selector.unregister(link.sock)
            except (KeyError, ValueError, OSError):
                pass  # its descriptor was closed under us, by a web server for example
        link.watched = False

    def close(self) -> None:
        """Free the descriptors."""
        for link in list(self._masks):
            self.unwatch(link)
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()


class Deadlines:
    """When to look at which connection: one time for each, in a heap.  Belongs to the keeper's thread."""

    def __init__(self) -> None:
        # Entries are [deadline, tiebreak, link]; the link becomes None when the entry no longer counts.
        self._heap: list[list[Any]] = []
        self._entries: dict[Watched, list[Any]] = {}
        self._tiebreak = count()

    @property
    def first(self) -> float | None:
        """The earliest deadline; it may be one that no longer counts."""
        return self._heap[0][0] if self._heap else None

    def put(self, link: Watched, deadline: float | None) -> None:
        """Set a connection's deadline, unless it is looked at earlier anyway; ``None`` sets none."""
        known = self._entries.get(link)
        if deadline is None or (known is not None and known[0] <= deadline):
            return
        self.drop(link)
        entry = [deadline, next(self._tiebreak), link]
        self._entries[link] = entry
        heapq.heappush(self._heap, entry)

    def drop(self, link: Watched) -> None:
        """Remove a connection's deadline."""
        entry = self._entries.pop(link, None)
        if entry is not None:
            entry[2] = None

    def take(self, now: float) -> Watched | None:
        """Remove and return a connection whose deadline has come, ``None`` when there is none."""
        while self._heap and self._heap[0][0] <= now:
            link: Watched | None = heapq.heappop(self._heap)[2]
            if link is not None:
                del self._entries[link]
                return link
        return None
