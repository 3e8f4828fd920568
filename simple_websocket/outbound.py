"""`Outbound`: the sending half of a connection's input and output.

Everything here happens under `lock`, the connection's write lock.  A frame is written whole before the lock is let go; what
cannot be written without waiting, or was interrupted, stays in the outbox, and the next one to write begins with it.
"""

from __future__ import annotations

from collections.abc import Callable

from .backends import Backend, Lock
from .errors import ConnectionClosed
from .protocol.connection import Protocol
from .protocol.outbox import Frame, Outbox
from .protocol.payload import PreparedMessage
from .transport import Transport

__all__ = ["Outbound", "acquire"]


class Outbound:
    """Writes frames, complete and in order, from any number of threads or greenlets.

    :param transport: where to write.
    :param protocol: the connection's state machine, of which this uses the outbound half.
    :param backend: where the lock and the clock come from.
    :param leftover: called, without the lock, when something is left in the outbox and somebody has to see to it.
    """

    __slots__ = ("_clock", "_leftover", "_outbox", "_protocol", "_transport", "_unsure", "lock", "progress")

    def __init__(self, transport: Transport, protocol: Protocol, backend: Backend, leftover: Callable[[], None]) -> None:
        self._transport = transport
        self._protocol = protocol
        self._clock = backend.clock
        self._leftover = leftover
        self._outbox = Outbox()
        # Between the moments when a frame is made, or written in part, and when the outbox says so: an exception that a signal
        # handler raises then leaves nobody knowing what the peer has got, and the connection cannot be used for sending any more.
        self._unsure = False
        self.lock: Lock = backend.lock()
        #: Counts what was written of large frames: a sign of life for the keepalive.
        self.progress = 0

    @property
    def abandoned(self) -> bool:
        """Whether something waits for the socket to become writable, and nobody with it."""
        return bool(self._outbox) and not self.lock.locked()

    def send(self, frame: Callable[..., Frame], *arguments: object) -> bool | None:
        """Write what ``frame(*arguments)`` returns, waiting as long as it takes; return ``None`` when the connection is lost.

        The frame is made under the lock, so that frames are written in the order in which they were made.
        """
        try:
            with self.lock:
                try:
                    self._unsure = True
                    return self._write(frame(*arguments), None) or None
                except (ConnectionClosed, ValueError, TypeError):
                    self._unsure = False  # refused before anything was made of it
                    raise
                finally:
                    if self._unsure:
                        self._cut()
        finally:
            if self._protocol.pending or self._outbox:
                self.flush()  # somebody wanted to write meanwhile, or this frame was interrupted in the middle

    def post(self, message: str | bytes | PreparedMessage) -> bool | None:
        """Write a message without waiting, if nobody else writes and nothing waits to be written.

        What the socket does not take at once waits in the outbox, one frame at the most.

        :return: whether the connection took it, ``None`` when it is lost.
        """
        if not self.lock.acquire(False):
            return False
        protocol = self._protocol
        try:
            try:
                if self._outbox:
                    return False
                self._unsure = True
                return self._write(protocol.send(message), 0) or (True if self._outbox else None)
            except (ConnectionClosed, ValueError, TypeError):
                self._unsure = False  # as in send
                raise
            finally:
                if self._unsure:
                    self._cut()
                self.lock.release()
        finally:
            if protocol.pending or self._outbox:
                self.flush()  # as in send

    def flush(self, deadline: float = 0, leftover: bool = True) -> None:
        """Write what the protocol wants to say, as far as the socket takes it until a time; the default has passed.

        :param leftover: whether to have somebody see to what is left.  Default: ``True``.

        Whoever holds the lock looks at `pending` after letting go, so nothing is forgotten when the lock is not free.
        """
        protocol = self._protocol
        while protocol.pending or self._outbox:
            if not acquire(self.lock, deadline, self._clock):
                return
            try:
                if not self._drain(deadline):
                    break
                self._unsure = True
                if not self._write(protocol.data_to_send(), deadline):
                    break
                if protocol.failure and protocol.close_sent:
                    # The peer need not answer: it is being read to its end only (section 7.1.7).
                    self._transport.end_writing(discard=True)
            finally:
                self._release()
        if self._outbox and leftover:
            self._leftover()

    def close(self, code: int, reason: str, deadline: float) -> None:
        """Write a Close frame, behind whatever is being written, until a time."""
        if not acquire(self.lock, deadline, self._clock):
            return
        try:
            self._unsure = True
            self._write(self._protocol.close(code, reason), deadline)
        finally:
            self._release()

    def _release(self) -> None:
        if self._unsure:
            self._cut()
        self.lock.release()

    def _write(self, frame: Frame, deadline: float | None) -> bool:
        """Write a frame behind what is in the outbox; return whether all is written."""
        outbox = self._outbox
        blocked = bool(outbox)
        if not blocked and type(frame) is bytes:
            # All that there is to nearly every message.
            try:
                sent = self._transport.try_write(frame) if frame else 0
            except OSError:
                self._cut()
                return False
            if sent == len(frame):
                self._unsure = False
                return True
            outbox.put(frame)
            outbox.drop(sent)
        else:
            outbox.put(frame)
        self._unsure = False
        return self._drain(deadline, blocked)

    def _drain(self, deadline: float | None, blocked: bool = True) -> bool:
        """Write the outbox; return whether all is written.

        :param blocked: whether the socket had no room before: then it is the peer who has made some.
        """
        outbox = self._outbox
        while outbox:
            self._unsure = True
            sent = self._try(outbox.front())
            if sent > 0:
                outbox.drop(sent)
            self._unsure = False
            if sent < 0:
                return False
            if sent:
                self.progress += blocked
                continue
            left = None if deadline is None else deadline - self._clock()
            if left is not None and left <= 0:
                return False
            blocked = True
            self._transport.wait_writable(left)
        return True

    def _try(self, data: bytes | memoryview) -> int:
        """Write what the socket takes at once; return how much that was, -1 when writing has failed for good."""
        try:
            return self._transport.try_write(data)
        except OSError:
            self._cut()
            return -1

    def _cut(self) -> None:
        """Send nothing more; what has arrived can still be received."""
        self._outbox.clear()
        self._unsure = False
        self._protocol.end_of_sending(self._clock())
        self._transport.end_writing()


def acquire(lock: Lock, deadline: float | None, clock: Callable[[], float]) -> bool:
    """Acquire a lock until a time, ``None`` for as long as it takes; try it once when the time has passed."""
    if deadline is None:
        lock.acquire()
        return True
    if lock.acquire(blocking=False):
        return True
    left = deadline - clock() if deadline else 0
    return left > 0 and bool(lock.acquire(timeout=left))
