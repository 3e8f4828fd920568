"""The keeper: one background thread or greenlet for each backend, which looks after connections while nobody reads them.

It answers pings, notices a close, sends keepalive pings, enforces deadlines, buffers messages up to a bound, and says goodbye
to everybody when the process is told to stop.  Reading is
the business of the caller of ``receive``; the keeper only *adopts* a connection that nobody has read for a grace period, and
lets it go as soon as somebody reads it again.

Who may touch what: `_links`, `_deadlines` and `_sockets` belong to the keeper's own thread.  `_commands` is a deque that anybody
appends to; `_lock` guards starting and ending the thread.
"""

from __future__ import annotations

import heapq
import logging
import os
import selectors
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from .backends import Backend, Event

__all__ = ["GRACE", "Keeper", "Watched", "all_keepers", "keeper_for"]

logger = logging.getLogger("simple_websocket")

#: Seconds after which the keeper looks whether a connection is being read.  One that was not between two looks is adopted, so
#: a ping that arrives while the application is busy is answered within twice this time.
GRACE = 0.25

# A wake-up that was lost with a closed selector must not keep anybody waiting for long.
_FORGET_TIMEOUT = 1.0


class Clocked(Protocol):
    """What the keeper needs of a connection's state machine."""

    def next_deadline(self) -> float | None: ...


class Watched(Protocol):
    """What the keeper needs of a connection; the `Link` of ``link.py`` is one.  Only the keeper writes `watched` and `seen`."""

    finished: bool  # it has ended, or somebody is ending it
    watched: bool  # its socket is in the keeper's selector
    turn: int  # counts the calls of receive
    seen: int  # `turn` when the keeper looked last

    @property
    def protocol(self) -> Clocked: ...
    @property
    def sock(self) -> Any: ...
    def needs(self) -> tuple[bool, bool]: ...
    def pump(self) -> bool: ...
    def flush(self) -> None: ...
    def on_deadline(self, now: float) -> None: ...
    def go_away(self) -> None: ...


class Keeper:
    """Looks after the connections of one backend and scope.  It runs while it has any, as a daemon.

    :param backend: where its thread, selector, lock, clock and wake-up sockets come from.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._told_to_stop = backend.told_to_stop
        self._lock = backend.lock()
        self._running = False
        self._orphaned = False
        self._commands: deque[tuple[Callable[[Watched], None], Watched, Event | None]] = deque()
        self._links: set[Watched] = set()
        self._deadlines = Deadlines()
        self._next_look = 0.0
        self._sockets: Sockets | None = None

    # For everybody

    def add(self, link: Watched) -> None:
        """Look after a connection from now on."""
        self._tell(self._take_in, link)

    def attend(self, link: Watched) -> None:
        """Look at a connection now: it has something to write, or a new deadline."""
        self._tell(self._attend, link)

    def forget(self, link: Watched, wait: bool = True) -> None:
        """Let go of a connection whose `finished` is set; when this returns, its socket may be closed.

        :param wait: whether to wait for that; only a finalizer may not.  Default: ``True``.
        """
        if not link.watched or self._orphaned:
            return  # it will not be adopted any more, and is dropped at the next look
        if wait:
            done = self._backend.event_class()
            self._tell(self.let_go, link, done)
            done.wait(_FORGET_TIMEOUT)
        else:
            # A finalizer may interrupt whoever holds the lock.  The keeper is running, as it watches this connection.
            self._commands.append((self.let_go, link, None))
            if self._sockets is not None:
                self._sockets.wake()

    @property
    def links(self) -> list[Watched]:
        """The connections that are looked after."""
        return [link for link in list(self._links) if not link.finished]

    @property
    def backend(self) -> Backend:
        """Where everything here comes from."""
        return self._backend

    def orphan(self) -> None:
        """Be of no use from now on: the process was forked, and the thread stayed behind in the parent.

        The selector and the wake-up sockets are the parent's too, so nothing may be changed or sent through them.
        """
        self._orphaned = True

    def _tell(self, command: Callable[[Watched], None], link: Watched, done: Event | None = None) -> None:
        if self._orphaned:
            return
        self._lock.acquire()
        try:
            self._commands.append((command, link, done))
            if not self._running:
                self._start()
            sockets = self._sockets
        finally:
            self._lock.release()
        assert sockets is not None
        sockets.wake()

    def _start(self) -> None:
        """Start the thread; the lock is held."""
        self._sockets = Sockets(self._backend)
        self._next_look = self._backend.clock() + GRACE
        thread = self._backend.thread_class(target=self._run, args=(self._sockets,))
        if hasattr(thread, "daemon"):
            thread.daemon = True  # a connection that is left open does not keep a program from ending
        self._running = True
        thread.start()

    # The keeper's own thread

    def _run(self, sockets: Sockets) -> None:
        try:
            while not self._may_end():
                for link, mask in sockets.select(self._patience(sockets)):
                    self._safely(self._serve, link, mask)
                while self._commands:
                    command, link, done = self._commands.popleft()
                    self._safely(command, link)
                    if done is not None:
                        done.set()
                self._meet_deadlines()
                self._look_around(sockets)
                # A selector may return without having parked, and somebody else may have to run before anything changes.
                self._backend.sleep(0)
        except BaseException:
            self._lock.acquire()  # killed: the next connection starts another thread, for all of them
            raise
        finally:
            self._running = False
            sockets.close()
            self._lock.release()

    def _may_end(self) -> bool:
        """Whether there is nothing left to do; then the lock is held, so that nobody adds a connection meanwhile."""
        if self._links:
            return False
        self._lock.acquire()
        if not self._commands:
            return True
        self._lock.release()
        return False

    def _patience(self, sockets: Sockets) -> float | None:
        """Seconds until there is something to do without being woken; ``None`` for never."""
        if self._commands:
            return 0
        due = self._deadlines.first
        looking = self._told_to_stop is not None or sockets.count < len(self._links)
        if looking and (due is None or self._next_look < due):
            due = self._next_look
        return None if due is None else max(0.0, due - self._backend.clock())

    def _safely(self, action: Callable[..., None], link: Watched, *arguments: Any) -> None:
        """One connection's fault must not end the care for all others."""
        try:
            action(link, *arguments)
        except Exception:
            logger.exception("a connection failed while it was looked after")
            self.let_go(link)

    def _take_in(self, link: Watched) -> None:
        if not link.finished:
            link.seen = link.turn
            self._links.add(link)
            self._deadlines.put(link, link.protocol.next_deadline())

    def _attend(self, link: Watched) -> None:
        if link in self._links and not link.finished:
            self._deadlines.put(link, link.protocol.next_deadline())
            self._watch(link)

    def let_go(self, link: Watched) -> None:
        """Forget a connection; only for the keeper's own thread."""
        self._links.discard(link)
        self._deadlines.drop(link)
        assert self._sockets is not None
        self._sockets.unwatch(link)

    def _look_around(self, sockets: Sockets) -> None:
        """Adopt the connections that nobody has read since the last look; say goodbye to all when the process stops."""
        now = self._backend.clock()
        if now < self._next_look:
            return
        self._next_look = now + GRACE
        if self._told_to_stop is not None and self._told_to_stop():
            for link in self.links:
                self._safely(type(link).go_away, link)
        if sockets.count == len(self._links):
            return
        for link in list(self._links):
            if link.watched:
                continue
            if link.finished:
                self.let_go(link)
            elif link.turn != link.seen:
                link.seen = link.turn
            elif link.needs()[0]:
                # What was read but not decoded, or is hidden in the TLS layer, makes no socket readable.
                self._safely(self._pump, link)

    def _serve(self, link: Watched, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            link.flush()
        if mask & selectors.EVENT_READ and link.turn == link.seen:
            self._pump(link)
        else:
            link.seen = link.turn  # somebody reads it again
            self._watch(link, reading=False)

    def _pump(self, link: Watched) -> None:
        if link.pump():
            self._commands.append((self._pump, link, None))  # after the others had their turn
        if not link.finished:
            self._deadlines.put(link, link.protocol.next_deadline())
        self._watch(link)

    def _watch(self, link: Watched, reading: bool = True) -> None:
        """Bring the selector up to date with what the connection needs."""
        assert self._sockets is not None
        needs_reading, needs_writing = link.needs()
        mask = selectors.EVENT_WRITE if needs_writing else 0
        if reading and needs_reading and link.turn == link.seen:
            mask |= selectors.EVENT_READ
        if link.finished or link not in self._links or not mask:
            self._sockets.unwatch(link)
        else:
            stale = self._sockets.watch(link, mask)
            if stale is not None:
                self.let_go(stale)
                self._sockets.watch(link, mask)

    def _meet_deadlines(self) -> None:
        while (link := self._deadlines.take(self._backend.clock())) is not None:
            due = link.protocol.next_deadline()
            if due is not None and due <= self._backend.clock():
                self._safely(self._meet_deadline, link)
            if link in self._links and not link.finished:
                self._deadlines.put(link, link.protocol.next_deadline())

    def _meet_deadline(self, link: Watched) -> None:
        link.on_deadline(self._backend.clock())
        self._watch(link)


class Sockets:
    """The selector, with the sockets that wake it; belongs to the keeper's thread, but for `wake`."""

    def __init__(self, backend: Backend) -> None:
        self._selector: Any = backend.selector_class()
        self._wake_in, self._wake_out = backend.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._masks: dict[Watched, int] = {}

    @property
    def count(self) -> int:
        """How many connections are watched."""
        return len(self._masks)

    def wake(self) -> None:
        """Have `select` return."""
        try:
            self._wake_out.send(b"\0")
        except (BlockingIOError, InterruptedError):
            pass  # it has been woken often enough
        except OSError:
            pass  # the keeper has just ended, which it does only when there is nothing to do

    def select(self, timeout: float | None) -> list[tuple[Watched, int]]:
        """Return the connections that are ready, and for what, after `timeout` seconds at the latest."""
        ready = [(key.data, mask) for key, mask in self._selector.select(timeout)]
        if any(link is None for link, _ in ready):
            try:
                self._wake_in.recv(4096)
            except OSError:
                pass
        return [(link, mask) for link, mask in ready if link is not None]

    def watch(self, link: Watched, mask: int) -> Watched | None:
        """Watch a connection for reading, writing or both; return a stale one that is in the way, then nothing has changed."""
        known = self._masks.get(link)
        if known == mask:
            return None
        if known is not None:
            self._masks[link] = mask
            self._selector.modify(link.sock, mask, link)
            return None
        link.watched = True
        try:
            self._selector.register(link.sock, mask, link)
            self._masks[link] = mask
        except KeyError:
            # The web server closed a connection's descriptor without a word, and the number is in use again.
            stale: Watched = self._selector.get_map()[link.sock.fileno()].data
            return stale
        except (ValueError, OSError):
            if not link.finished:  # then somebody has just closed it
                raise
        if link.finished:  # by somebody who saw `watched` too early to tell us
            self.unwatch(link)
        return None

    def unwatch(self, link: Watched) -> None:
        """Watch a connection no more."""
        if self._masks.pop(link, None) is not None:
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


# The running keepers: for each scope (a hub, or the process) and backend one.
_keepers: WeakKeyDictionary[Any, dict[Backend, Keeper]] = WeakKeyDictionary()


def keeper_for(backend: Backend) -> Keeper:
    """Return the keeper for connections of this backend that are made here and now."""
    keepers = _keepers.setdefault(backend.scope(), {})
    return keepers.get(backend) or keepers.setdefault(backend, Keeper(backend))


def all_keepers() -> list[Keeper]:
    """Return all keepers of the process."""
    return [keeper for keepers in list(_keepers.values()) for keeper in list(keepers.values())]


def _after_fork() -> None:
    for keeper in all_keepers():
        keeper.orphan()
    _keepers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
