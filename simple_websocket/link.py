"""`Link`: one connection's input and output: a transport, a protocol, and who may use which when.

Locks, always taken in this order, and by the keeper only when they are free:

``read_lock``      the inbound half of the protocol, reading from the transport, `_unread` and `_disposed`
``Outbound.lock``  the outbound half and writing to the transport: the write lock
``_end_lock``      ending TCP, once: `finished`
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from .backends import Backend, Lock
from .errors import CloseReason
from .inbound import Inbound
from .keeper import keeper_for
from .outbound import Outbound, acquire
from .protocol.connection import Pong, Protocol, State
from .protocol.payload import payload_of
from .protocol.unread import Unread
from .transport import Transport
from .watch import NOBODY, RECEIVER

__all__ = ["Link"]

# A receive whose time is up reads this often at the most.
_READS_WHEN_LATE = 64

# How long the read lock is waited for at a time, and in all by a sender whose connection is lost.
_MOMENT = 0.01
_LAST_WORDS = 1.0

# How long a client waits for the server to end TCP after both Close frames have passed (RFC 6455 section 7.1.1).
_EOF_TIMEOUT = 0.5

# For so long the keeper and whoever receives leave the end to `close`, which has a frame to write first, however short the close
# timeout is.
_CLOSER_FIRST = 0.5

# Everybody has been woken before a descriptor is closed, so its locks are free within moments.
_DISPOSE_TIMEOUT = 1.0


class Link:
    """One connection's input and output.

    :param transport: the connected socket's, after the opening handshake.
    :param backend: where primitives come from.
    :param protocol: the connection's state machine.
    :param client: whether this side is the client, which leaves it to the server to end TCP.
    :param owns_socket: whether to close the descriptor at the end; a web server closes its own.
    :param receive_bytes: how much to read at once, in bytes.
    :param unread: keeps what was read ahead.
    """

    __slots__ = (
        "__weakref__", "_call_keeper", "_client", "_clock", "_disposed", "_end_lock", "_inbound", "_keeper", "_owns_socket",
        "_pid", "_receive_bytes", "_spared", "_transport", "_unread", "finished", "left_to", "outbound", "protocol", "read_lock",
        "seen", "turn", "watched",
    )  # fmt: skip

    def __init__(
        self,
        transport: Transport,
        backend: Backend,
        protocol: Protocol,
        client: bool,
        owns_socket: bool,
        receive_bytes: int,
        unread: Unread,
    ) -> None:
        self.protocol = protocol
        self.read_lock: Lock = backend.lock()
        self.turn = 0
        self.seen = 0
        self.watched = False
        self.left_to = NOBODY
        self.finished = False
        self._clock = backend.clock
        self._transport = transport
        self._keeper = keeper_for(backend)
        self._call_keeper = partial(self._keeper.attend, self)
        self.outbound = Outbound(self._transport, protocol, backend, self._call_keeper)
        self._inbound = Inbound(transport, protocol, self.outbound, unread, receive_bytes, self._clock)
        self._end_lock: Lock = backend.lock()
        self._client = client
        self._owns_socket = owns_socket
        self._receive_bytes = receive_bytes
        self._unread = unread
        self._disposed = False
        self._spared = 0
        self._pid = os.getpid()
        try:
            self._keeper.attend(self, new=True)
        except BaseException:  # there is nothing to make a keeper of: no descriptor, no thread
            self.finished = True
            transport.release()
            if owns_socket:
                transport.close()
            raise

    # Receiving

    def receive(self, timeout: float | None) -> str | bytes | None:
        """Return the next message; ``None`` when there was none within `timeout` seconds.

        :raises ConnectionClosed: the connection has ended, and every message received before was returned.
        """
        self.turn += 1  # tells the keeper that somebody reads; two threads may well count as one
        if timeout is None:
            try:
                with self.read_lock:
                    return self._receive(None)
            finally:
                if self.left_to:
                    self._keeper.was_read(self)
        deadline = self._clock() + timeout
        if not acquire(self.read_lock, deadline, self._clock):
            # While messages are waiting the lock is held for a moment only, but by `close`, which stays for the peer's answer.
            while not self.read_lock.acquire(timeout=_MOMENT if self._unread else 0):
                if not self.protocol.open or not self._unread:
                    return self._unread.take_late()
        found: str | bytes | None = ""
        try:
            found = self._receive(deadline)
            return found
        finally:
            self.read_lock.release()
            if self.left_to == RECEIVER or (self.left_to and found is not None):  # else everything was decoded
                self._keeper.was_read(self)

    def _receive(self, deadline: float | None) -> str | bytes | None:
        """Return what was read ahead, or read; the read lock is held."""
        if self._unread:
            message = self._unread.take()
            if message is not None:
                self._inbound.answering = True
                return message
        try:
            return self._read_message(deadline)
        except BaseException:
            if self._transport.unsure:
                self.protocol.abort()  # a signal handler's exception has lost bytes: what follows them makes no sense
            raise

    def _read_message(self, deadline: float | None) -> str | bytes | None:
        """Read until there is a message; the read lock is held."""
        protocol, transport = self.protocol, self._transport
        receive_bytes = self._receive_bytes
        late = _READS_WHEN_LATE
        while True:
            transport.unsure = True
            event = protocol.next_event()
            transport.unsure = False
            if protocol.pending:
                self.outbound.flush()
            if event is not None:
                if not isinstance(event, Pong):
                    self._inbound.answering = True
                    return event
                protocol.pong_received(event, self._clock())
                continue
            self._inbound.answering = False
            if protocol.violation is not None:
                protocol.fail()
            if protocol.open:
                left = None if deadline is None else max(0.0, deadline - self._clock())
            else:
                left = self._go_on_closing(deadline)
            if left == 0 and deadline is not None:
                late -= 1  # a peer that sends without end must not keep us here
            data = transport.read(protocol.decoder.place(receive_bytes), left) if late else None
            if data and type(data) is bytes:
                message = protocol.receive_message(data, len(data))
                if message is not None:  # nearly every message
                    transport.unsure = False
                    self._inbound.answering = True
                    return message
            if data is not None:
                protocol.receive_data(data)
            elif deadline is not None and deadline <= self._clock():
                if not protocol.open:
                    self._call_keeper()  # closing has a deadline of its own, and nobody may come back here
                return None

    def _go_on_closing(self, deadline: float | None) -> float:
        """Do our part of closing; return how many seconds the peer may take for its part.  The read lock is held.

        :raises ConnectionClosed: the connection has ended.
        """
        protocol = self.protocol
        close_by = protocol.start_close_timer(self._clock())
        if protocol.pending:
            self.outbound.flush(close_by if deadline is None else min(close_by, deadline))
        now = self._clock()
        if now >= close_by:
            protocol.abort()
        if protocol.state is State.CLOSED:
            self._finish(reading=True)
            raise protocol.closed_error()
        return max(0.0, (close_by if deadline is None else min(close_by, deadline)) - now)

    def _stop_reading(self) -> None:
        """Let go of the read lock; the keeper may have left the connection to whoever had it (Keeper._look_around)."""
        self.read_lock.release()
        if self.left_to == RECEIVER:
            self._keeper.was_read(self)

    # Sending

    def send(self, data: Any) -> None:
        """Send one message, whole.

        :raises ConnectionClosed: the connection is closing or has ended.
        """
        if self.outbound.send(self.protocol.send, payload_of(data)) is None:
            self._raise_lost()

    def ping(self, payload: bytes) -> None:
        """Send a ping.

        :raises ConnectionClosed: the connection is closing or has ended.
        """
        if self.outbound.send(self.protocol.ping, payload, self._clock()) is None:
            self._raise_lost()

    def _raise_lost(self) -> None:
        """Sending has failed.  What the peer said before it went can still be received; its Close frame says why it went."""
        protocol, give_up = self.protocol, self._clock() + _LAST_WORDS
        # Whoever has the read lock may be about to find it: the keeper, or a receiver, whom the end of the connection wakes.
        while not (protocol.close_received or protocol.lost or self._clock() >= give_up):
            if acquire(self.read_lock, self._clock() + _MOMENT, self._clock):
                try:
                    self._inbound.read_ahead()
                finally:
                    self._stop_reading()
                break
        self._call_keeper()
        if self.finished:
            self._dispose(reading=False, patient=False)  # which had to wait for us
        raise protocol.closed_error()

    # Closing

    def close(self, code: int, reason: str) -> None:
        """Close the connection (RFC 6455 section 7.1.2); return when it has ended, after the close timeout at the latest.

        :raises ValueError: the code may not be sent.
        """
        deadline = self.protocol.begin_close(code, reason, self._clock(), _CLOSER_FIRST)
        self.turn += 1
        if not self.finished:
            self.outbound.close(code, reason, deadline)
        self._complete(deadline)

    def go_away(self, code: int = CloseReason.GOING_AWAY, wait: bool = False) -> None:
        """Send a Close frame; within a second everybody is woken with ConnectionClosed.

        :param code: close code.  Default: 1001.
        :param wait: whether to wait for that, for a web server that goes on with its request.  Default: ``False``.
        """
        if self.finished or os.getpid() != self._pid:
            return
        if self.read_lock.acquire(blocking=False):
            try:
                self._inbound.read_ahead()  # what has arrived before can still be received
            finally:
                self._stop_reading()
        self.protocol.leave(code, self._clock())
        self.outbound.flush()
        self._call_keeper()
        if wait:
            self._complete(self.protocol.start_close_timer(self._clock()))
        elif self.finished:
            self._dispose(reading=False, patient=False)  # as in pump

    def _complete(self, deadline: float) -> None:
        """Read until the closing handshake is complete or its time is over, and end TCP."""
        if not self.finished and acquire(self.read_lock, deadline, self._clock):
            try:
                self._inbound.read_to_the_end(deadline)
                self._finish(reading=True)
            finally:
                self._stop_reading()
        self._finish(reading=False)

    def _finish(self, reading: bool, patient: bool = True, by_keeper: bool = False) -> None:
        """End TCP and wake everybody; close the descriptor if it is ours.

        :param reading: whether the caller holds the read lock.
        :param patient: whether the caller may wait; the keeper and a finalizer may not.  Default: ``True``.
        :param by_keeper: whether the caller is the keeper.  Default: ``False``.
        """
        if not acquire(self._end_lock, None if patient else 0, self._clock):
            return  # whoever has the lock completes it
        try:
            if not self.finished:
                if reading and patient and self._client:
                    self._inbound.await_eof(_EOF_TIMEOUT)  # so that it is the server that keeps the address in TIME_WAIT
                self.protocol.abort()
                self._transport.shutdown()  # first: a web server that sees `finished` goes on writing
                self.finished = True
                if by_keeper:
                    self._keeper.let_go(self)
                else:
                    self._keeper.forget(self, wait=patient)
        finally:
            self._end_lock.release()
        self._dispose(reading, patient)

    def _dispose(self, reading: bool, patient: bool) -> None:
        """Free the descriptor once nobody uses it any more; whoever still does comes here after us."""
        deadline = self._clock() + _DISPOSE_TIMEOUT if patient else 0
        if reading or acquire(self.read_lock, deadline, self._clock):
            try:
                if not self._disposed and acquire(self.outbound.lock, deadline, self._clock):
                    try:
                        if self._owns_socket:
                            self._transport.close()
                        else:
                            self._transport.drain()
                            self._transport.release()
                        self._disposed = True
                    finally:
                        self.outbound.lock.release()
            finally:
                if not reading:
                    self._stop_reading()

    def disown(self) -> None:
        """Leave the connection to the process that has made it: this is a forked child's copy, and ends for who uses it (1006).

        Those who held the locks may have stayed behind in the parent.
        """
        make_lock = self._keeper.backend.lock
        self.read_lock, self._end_lock, self.outbound.lock = make_lock(), make_lock(), make_lock()
        self._transport.disown()
        self.protocol.abort()
        self.finished = True

    def abandon(self, code: int = CloseReason.GOING_AWAY) -> None:
        """End a connection that nobody can use any more, without waiting for anything: for finalizers."""
        if os.getpid() != self._pid:
            return  # a forked child drops its copy; the connection is its parent's
        if self.finished:
            self._dispose(reading=False, patient=False)
            return
        self.protocol.leave(code, self._clock())
        self.outbound.flush(leftover=False)  # the keeper's lock may be held by whom a finalizer has interrupted
        self._finish(reading=False, patient=False)

    # For the keeper

    @property
    def sock(self) -> Any:
        """The socket, for a selector."""
        return self._transport.sock

    def needs(self) -> tuple[bool, bool]:
        """Return whether the keeper should read it and write it: nobody does, and there is room, or something left over."""
        protocol = self.protocol
        wanted = protocol.violation is None and (self._unread.has_room or protocol.closed_here)
        reading = wanted and not self.read_lock.locked()
        return reading, self.outbound.abandoned

    def pump(self, reading: bool = True, writing: bool = False) -> bool:
        """Write what is left over, and read what is there unless somebody else reads, without waiting.

        :return: whether there may be more to read.
        """
        if writing:
            self.outbound.flush()
        more = False
        if reading and self.read_lock.acquire(blocking=False):
            try:
                more = self._inbound.read_ahead()
                if self.protocol.state is State.CLOSED and (self.protocol.lost or not self._client):
                    # A client leaves it to the server to end TCP, until its closing deadline.
                    self._finish(reading=True, patient=False, by_keeper=True)
            finally:
                self.read_lock.release()
        if self.finished:
            self._dispose(reading=False, patient=False)  # which had to wait for us
        return more

    def vanish(self) -> None:
        """Take it that the socket's owner has closed it."""
        self.protocol.abort()
        self._finish(reading=False, patient=False, by_keeper=True)

    def on_deadline(self, now: float) -> None:
        """Do what is due."""
        if self.read_lock.acquire(blocking=False):
            try:
                self._inbound.read_ahead()  # the sign of life may be here, and only waits to be read
            finally:
                self.read_lock.release()
        if not self._unread.has_room:
            self._spared += 1  # the peer cannot show that it lives while nobody receives what it sent: not its fault
        self.protocol.on_deadline(now, self.protocol.heard + self.outbound.progress + self._spared)
        if self.protocol.pending:
            self.outbound.flush()
        if self.protocol.lost:
            self._finish(reading=False, patient=False, by_keeper=True)
