"""The keeper: one background thread or greenlet for each backend, which looks after connections while nobody reads them.

It answers pings, notices a close, sends keepalive pings, enforces deadlines, buffers messages up to a bound, and says goodbye
to everybody when the process is told to stop.

Reading is the business of the caller of ``receive``.  The keeper looks from time to time whether a connection is read, until
it can leave it to somebody: to a receiver who waits, or to itself, when nobody has read it for a grace period: then it *adopts*
it.  Whoever reads a connection that is left to somebody tells the keeper, once, and it is looked at again.

Who may touch what: `_links`, `_looked`, `_due`, `_deadlines` and `_sockets` belong to the keeper's own thread.  `_commands` and
`_returned` are deques that anybody appends to; `_lock` guards starting and ending the thread.
"""

from __future__ import annotations

import logging
import os
import selectors
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from .backends import Backend, Event
from .watch import KEEPER, NOBODY, RECEIVER, Deadlines, Sockets, Watched

__all__ = ["GRACE", "Keeper", "all_keepers", "keeper_for"]

logger = logging.getLogger("simple_websocket")

#: Seconds after which the keeper looks whether a connection is being read.  One that was not between two looks is adopted, so
#: a ping that arrives while the application is busy is answered within twice this time.
GRACE = 0.25

# A wake-up that was lost with a closed selector must not keep anybody waiting for long.
_FORGET_TIMEOUT = 1.0

# Seconds between two rounds of deadlines, however close together they are.
_PAUSE = 0.02


class Keeper:
    """Looks after the connections of one backend and scope.  It runs while it has any, as a daemon.

    :param backend: where its thread, selector, lock, clock and wake-up sockets come from.
    """

    def __init__(self, backend: Backend) -> None:
        #: Where everything here comes from.
        self.backend = backend
        self._told_to_stop = backend.told_to_stop
        self._lock = backend.lock()
        self._running = False
        self._orphaned = False
        self._commands: deque[tuple[Callable[[Watched], None], Watched, Event | None]] = deque()
        self._links: set[Watched] = set()
        # Those of them that are left to nobody: in most programs few of many, so that idle connections cost nothing.
        self._looked: set[Watched] = set()
        # Those to read in this round: readable, just adopted, or not read to the end in the last one.
        self._due: set[Watched] = set()
        # Those that were read after they had been left to somebody.
        self._returned: deque[Watched] = deque()
        # Whether there will be a look by itself; who returns a connection wakes the keeper when there will not.
        self._looking = True
        self._deadlines_met = 0.0
        self._deadlines = Deadlines()
        self._next_look = 0.0
        self._sockets: Sockets | None = None

    # For everybody

    def attend(self, link: Watched, new: bool = False) -> None:
        """Look after a connection from now on; look at it now: it has something to write, or a new deadline.

        :param new: whether it is just made: then the next look is early enough, unless it has a deadline before.
            Default: ``False``.
        """
        due = link.protocol.next_deadline()
        self._tell(self._attend, link, wake=not new or (due is not None and due < self.backend.clock() + GRACE))

    def forget(self, link: Watched, wait: bool = True) -> None:
        """Let go of a connection whose `finished` is set; when this returns, its socket may be closed.

        :param wait: whether to wait for that; only a finalizer may not.  Default: ``True``.
        """
        if link.left_to == RECEIVER:
            self.was_read(link)
        if not link.watched or self._orphaned:
            return  # it will not be adopted any more, and is dropped at the next look
        if wait:
            done = self.backend.event_class()
            self._tell(self.let_go, link, done)
            done.wait(_FORGET_TIMEOUT)
        else:
            # A finalizer may interrupt whoever holds the lock.  The keeper is running, as it watches this connection.
            self._commands.append((self.let_go, link, None))
            if self._sockets is not None:
                self._sockets.wake()

    def was_read(self, link: Watched) -> None:
        """Take it that somebody has read a connection, and may not come back for what arrived together with what he got."""
        try:
            link.left_to = NOBODY
        finally:
            self._returned.append(link)
        sockets = self._sockets
        if not self._links or sockets is None:
            try:
                self._returned.remove(link)  # it had ended before; behind the keeper's end nobody would take it out
            except ValueError:
                pass  # the keeper has done so
        elif not self._looking and not self._orphaned:
            sockets.wake()

    @property
    def links(self) -> list[Watched]:
        """The connections that are looked after, or will be."""
        new = [link for command, link, _ in list(self._commands) if command == self._attend]
        return [link for link in {*list(self._links), *new} if not link.finished]

    def orphan(self) -> None:
        """Be of no use from now on: the process was forked, and the connections are the parent's.

        So are the selector and the wake-up sockets: nothing may be changed or sent through them.  A thread has stayed behind in
        the parent; a greenlet has not, and ends.
        """
        self._orphaned = True
        if self._sockets is not None:
            self._sockets.orphaned = True
        for link in {*self._links, *(link for _, link, _ in self._commands)}:
            link.disown()
        self._commands.clear()

    def _tell(self, command: Callable[[Watched], None], link: Watched, done: Event | None = None, wake: bool = True) -> None:
        """Have the keeper do something: now, or, without `wake`, at its next look, if there is one by itself."""
        if self._orphaned:
            return
        self._lock.acquire()
        try:
            if not self._running and link.finished:
                # The keeper has let go of it before it ended.  When the program ends there might be no new one.
                if done is not None:
                    done.set()
                return
            self._commands.append((command, link, done))
            if not self._running:
                try:
                    self._start()
                except BaseException:
                    self._commands.remove((command, link, done))  # the next one to start must not find it
                    raise
            sockets = self._sockets
        finally:
            self._lock.release()
        assert sockets is not None
        if wake or not self._looking:
            sockets.wake()

    def _start(self) -> None:
        """Start the thread; the lock is held."""
        self._sockets = sockets = Sockets(self.backend)
        self._next_look = self.backend.clock() + GRACE
        thread = self.backend.thread_class(target=self._run, args=(self._sockets,))
        if hasattr(thread, "daemon"):
            thread.daemon = True  # a connection that is left open does not keep a program from ending
        self._running = True
        try:
            thread.start()
        except BaseException:  # no more threads
            self._running = False
            sockets.close()
            raise

    # The keeper's own thread

    def _run(self, sockets: Sockets) -> None:
        try:
            while not self._may_end():
                ready = sockets.select(self._patience(sockets))
                if self._orphaned:
                    continue
                self._looking = True
                self._take_returned(sockets)
                for link, mask in ready:
                    self._safely(self._serve, link, mask)
                for _ in range(len(self._commands)):  # what comes meanwhile is for the next round
                    command, link, done = self._commands.popleft()
                    self._safely(command, link)
                    if done is not None:
                        done.set()
                for link in list(self._due):  # the same: a flood has always more
                    self._safely(self._pump, link)
                self._meet_deadlines()
                self._look_around(sockets)
                # A selector may return without having parked, and somebody else may have to run before anything changes.
                self.backend.sleep(0)
        except BaseException:
            self._lock.acquire()  # killed: the next connection starts another thread, for all of them
            raise
        finally:
            if not self._links:
                self._returned.clear()
            for link in self._links:  # it was killed
                if link.left_to == KEEPER:
                    self._look_at(link)
            try:
                sockets.close()
            finally:
                self._running = False
                self._lock.release()

    def _may_end(self) -> bool:
        """Whether there is nothing left to do; then the lock is held, so that nobody adds a connection meanwhile."""
        if self._links and not self._orphaned:
            return False
        self._lock.acquire()
        if self._orphaned or not self._commands:
            return True
        self._lock.release()
        return False

    def _patience(self, sockets: Sockets) -> float | None:
        """Seconds until there is something to do without being woken; ``None`` for never."""
        due = self._deadlines.first
        if due is not None:
            # Thousands of keepalives are met some at a time.
            due = max(due, self._deadlines_met + _PAUSE)
        self._looking = self._told_to_stop is not None or bool(self._looked)
        # Only now, because who adds one does not wake us while there will be a look.
        if self._commands or self._due:
            return 0
        if not self._looking and self._returned:
            self._looking = True
        if self._looking and (due is None or self._next_look < due):
            due = self._next_look
        return None if due is None else max(0.0, due - self.backend.clock())

    def _safely(self, action: Callable[..., None], link: Watched, *arguments: Any) -> None:
        """One connection's fault must not end the care for all others."""
        try:
            action(link, *arguments)
        except Exception:
            logger.exception("a connection failed while it was looked after")
            self.let_go(link)

    def _look_at(self, link: Watched) -> None:
        """Look at a connection from time to time, beginning a grace period from now or before."""
        link.left_to = NOBODY
        if not self._looked:
            self._next_look = self.backend.clock() + GRACE
        self._looked.add(link)

    def _take_returned(self, sockets: Sockets) -> None:
        """Look again at connections that somebody has read."""
        while self._returned:
            link = self._returned.popleft()
            if sockets.reads(link):
                self._safely(self._watch, link, False)
            elif link in self._links:
                self._look_at(link)

    def _attend(self, link: Watched) -> None:
        if link.finished:
            return
        self._deadlines.put(link, link.protocol.next_deadline())
        if link in self._links:
            self._watch(link)
            return
        link.seen = link.turn
        self._links.add(link)
        self._look_at(link)

    def let_go(self, link: Watched) -> None:
        """Forget a connection; only for the keeper's own thread."""
        self._links.discard(link)
        self._looked.discard(link)
        self._due.discard(link)
        self._deadlines.drop(link)
        assert self._sockets is not None
        self._sockets.unwatch(link)

    def _look_around(self, sockets: Sockets) -> None:
        """Adopt the connections that nobody has read since the last look; say goodbye to all when the process stops."""
        now = self.backend.clock()
        if now < self._next_look:
            return
        self._next_look = now + GRACE
        if self._told_to_stop is not None and self._told_to_stop():
            for link in self.links:
                self._safely(type(link).go_away, link)
        for link in list(self._looked):
            if link.turn != link.seen and not link.finished:
                link.seen = link.turn
                continue
            # Set before asking: who lets go of the lock, or ends the connection, looks at it afterwards.
            link.left_to = RECEIVER
            if link.read_lock.locked() and not link.finished:
                self._looked.discard(link)
                continue
            link.left_to = NOBODY
            if link.finished:
                self.let_go(link)
            else:
                self._safely(self._watch, link)

    def _serve(self, link: Watched, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            link.pump(reading=False, writing=True)
        if not mask & selectors.EVENT_READ:
            self._watch(link)
        elif link.turn == link.seen:
            self._due.add(link)
        else:
            link.seen = link.turn  # somebody reads it again
            self._watch(link, reading=False)

    def _pump(self, link: Watched) -> None:
        if link not in self._due:
            return  # let go of meanwhile
        self._due.discard(link)
        if link.pump():
            self._due.add(link)  # after the others had their turn
            self.backend.sleep(0)
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
        was_reading = self._sockets.reads(link)
        if link.finished or link not in self._links or not mask:
            self._sockets.unwatch(link)
        else:
            if mask & selectors.EVENT_READ and not was_reading:
                link.left_to = KEEPER
                self._looked.discard(link)
                self._due.add(link)  # what was read but not decoded, or is hidden in the TLS layer, makes no socket readable
                was_reading = True
            stale = self._sockets.watch(link, mask)
            if stale is not None:
                self.let_go(stale)
                self._sockets.watch(link, mask)
        if was_reading and link in self._links and not self._sockets.reads(link):
            self._look_at(link)

    def _meet_deadlines(self) -> None:
        now = self.backend.clock()
        first = self._deadlines.first
        if first is None or first > now:
            return
        self._deadlines_met = now
        while (link := self._deadlines.take(now)) is not None:
            due = link.protocol.next_deadline()
            if due is not None and due <= now:
                self._safely(type(link).on_deadline, link, now)
                self._safely(self._watch, link)
                due = link.protocol.next_deadline()
            if link.finished:
                self.let_go(link)
            elif link in self._links:
                # Not at once again: whoever is ending the connection has to get his turn.
                self._deadlines.put(link, None if due is None else max(due, now + _PAUSE))


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
