"""`AioLink`: one connection on an asyncio transport: what ``link.py`` and the keeper are to threads.

Everything runs in the event loop's thread, so there are no locks; a frame is handed over whole before anything is awaited,
which is why cancelling a call at any await loses and tears nothing.  No task, and at most one timer, for each connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from .protocol.connection import Frame, Pong, Protocol, State
from .protocol.unread import Unread

__all__ = ["AioLink", "TakenTransport"]

# A large frame goes to the transport in parts of this size, as fast as the peer takes them: what the transport keeps it copies.
_PART = 256 * 1024

# How long a client waits for the server to end TCP after both Close frames have passed (RFC 6455 section 7.1.1).
_EOF_TIMEOUT = 0.5


class AioLink(asyncio.Protocol):
    """One connection's input and output.

    :param protocol: the connection's state machine.
    :param client: whether this side is the client, which leaves it to the server to end TCP.
    :param unread: keeps what has arrived and nobody has received.
    :param lost: called with the exception, or ``None``, when the transport has ended.
    """

    def __init__(
        self, protocol: Protocol, client: bool, unread: Unread, lost: Callable[[Exception | None], None] | None = None
    ) -> None:
        self.protocol = protocol
        self._client = client
        self._unread = unread
        self._lost = lost
        self.loop = asyncio.get_running_loop()
        self._clock = time.monotonic  # uvloop's clock only counts milliseconds
        self._transport: Any = None
        self._ended = False
        self._reading = True
        self._writable = True
        self._outbox: deque[memoryview] = deque()
        # For the keepalive: what the transport got, what it had left and what the kernel had taken when the timer ran last.
        self._written = 0
        self._backlog = 0
        self._taken = 0
        self._progress = 0
        self._spared = 0
        self._receivers: deque[asyncio.Future[None]] = deque()
        self._others: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    # Called by the transport

    def connection_made(self, transport: Any) -> None:
        """Take the transport, and what has been received before."""
        self._transport = transport
        self._reading = transport.is_reading()
        self._set_timer()
        self._decode()

    def data_received(self, data: bytes) -> None:
        """Take received bytes."""
        self.protocol.receive_data(data)
        self._decode()

    def eof_received(self) -> bool:
        """Take the end of the stream; the transport closes itself."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Wake everybody: the connection has ended."""
        self.protocol.receive_eof()
        self._ended = True
        self._outbox.clear()
        self._transport.close()  # Python 3.10 complains about a TLS transport that only its peer has ended
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake_all()
        if self._lost is not None:
            self._lost(error)
            self._lost = None

    def pause_writing(self) -> None:
        """Wait with writing: the peer is slow."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on with writing."""
        self._writable = True
        self._pump()

    # Called by the connection

    async def receive(self, timeout: float | None) -> str | bytes | None:
        """Return the next message; ``None`` when there was none within `timeout` seconds."""
        if timeout is not None and not self._unread and not await self._wait_until(self._clock() + timeout):
            return None
        unread = self._unread
        while not unread:
            if not self.protocol.open and self._over:
                raise self.protocol.closed_error()
            receiver = self.loop.create_future()
            self._receivers.append(receiver)
            try:
                await receiver
            except BaseException:
                self._stand_back(receiver)
                raise
        message = unread.take()
        if not self._reading and unread.has_room:
            self._decode()
        if unread and self._receivers:
            self._wake_one()
        return message

    async def _wait_until(self, deadline: float) -> bool:
        """Wait for a message or the end; return whether there was one of them before the deadline."""
        if deadline <= self._clock() and not self._ended:
            # What can be read now is read by the loop: one turn of it polls, the next one has called us.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        while not self._unread and not self._over:
            left = deadline - self._clock()
            if left <= 0:
                return False
            receiver = self.loop.create_future()
            self._receivers.append(receiver)
            timer = self.loop.call_later(left, _wake, receiver)
            try:
                await receiver
            except BaseException:
                self._stand_back(receiver)
                raise
            finally:
                timer.cancel()
                self._forget_receiver(receiver)
        return True

    def _stand_back(self, receiver: asyncio.Future[None]) -> None:
        """A receiver was cancelled: if it was its turn, it is another one's."""
        if receiver.done() and not receiver.cancelled():
            self._wake_one()
        else:
            self._forget_receiver(receiver)

    def _forget_receiver(self, receiver: asyncio.Future[None]) -> None:
        try:
            self._receivers.remove(receiver)
        except ValueError:
            pass  # it was woken

    async def send(self, data: Any) -> None:
        """Send one message, whole; wait while the peer is slow."""
        protocol = self.protocol
        if isinstance(data, str):
            frame = protocol.send_text(data)
        elif isinstance(data, (bytes, bytearray, memoryview)):
            frame = protocol.send_bytes(bytes(data))
        else:
            frame = protocol.send_text(str(data))
        self._write(frame)
        if not self._writable:
            await self._drained()

    async def ping(self, payload: bytes) -> None:
        """Send a ping."""
        self._write(self.protocol.ping(payload, self._clock()))
        if not self._writable:
            await self._drained()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection; return when it has ended, after the close timeout at the latest."""
        self.protocol.begin_close(code, reason, self._clock())
        if not self._ended:
            self._write(self.protocol.close(code, reason))
            self._decode()  # the peer's Close frame may be behind messages that there was no room for
            await self._until(lambda: self._ended)

    async def _drained(self) -> None:
        await self._until(lambda: self._writable and not self._outbox or self._ended)
        if self._ended and not self.protocol.close_received:
            raise self.protocol.closed_error()

    async def _until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            waiter = self.loop.create_future()
            self._others.add(waiter)
            try:
                await waiter
            finally:
                self._others.discard(waiter)

    def abandon(self) -> None:
        """End a connection that nobody can use any more, without waiting."""
        if self.protocol.open and self._transport is not None:  # what is closing has its deadline
            self.protocol.go_away()
            self._say_what_is_due()
            self._end()

    # Reading

    @property
    def _over(self) -> bool:
        # Whoever receives need not wait for the peer of a failed connection to end it (section 7.1.7).
        return self._ended or self.protocol.failure is not None or self.protocol.state is State.CLOSED

    def _decode(self) -> None:
        """Keep the messages that have arrived, up to the bound, and stop reading there; do our part of closing."""
        protocol, unread, receivers = self.protocol, self._unread, self._receivers
        # While closing, what there is no room for is dropped on the way to the peer's Close frame.
        while unread.has_room or not (protocol.open or self._ended):
            event = protocol.next_event()
            if event is None:
                if not self._reading:
                    self._read_on(True)
                break
            if isinstance(event, Pong):
                protocol.pong_received(event, self._clock())
            elif protocol.open or unread.has_room:
                unread.put(event)
                if receivers:
                    self._wake_one()
        else:
            self._read_on(False)
        if protocol.pending:
            self._say_what_is_due()
        if not protocol.open:
            self._go_on_closing()

    def _read_on(self, reading: bool) -> None:
        if reading is not self._reading:
            self._reading = reading
            if not self._ended:
                (self._transport.resume_reading if reading else self._transport.pause_reading)()

    def _go_on_closing(self) -> None:
        self.protocol.start_close_timer(self._clock())
        self._set_timer()
        self._end_if_closed()
        if self._over:
            self._wake_all()

    def _end_if_closed(self) -> None:
        """End the transport once the closing handshake is complete and written."""
        protocol, transport = self.protocol, self._transport
        if transport.is_closing() or self._outbox:
            return
        if protocol.state is State.CLOSED:
            if self._client and not protocol.lost:
                self._restart_timer(min(_EOF_TIMEOUT, self._closing_patience))
            else:
                self._end()
        elif protocol.failure and protocol.close_sent and transport.can_write_eof():
            transport.write_eof()  # the peer need not answer: it is being read to its end only (section 7.1.7)

    def _end(self) -> None:
        """Let the transport write what it has and end; a peer that does not let it is not waited for beyond the deadline."""
        self._transport.close()
        self._restart_timer(self._closing_patience)

    @property
    def _closing_patience(self) -> float:
        return max(0.0, self.protocol.start_close_timer(self._clock()) - self._clock())

    # Writing

    def _write(self, frame: Frame) -> None:
        """Hand a frame over, whole, behind what is waiting already."""
        if not frame or self._ended:
            return
        if isinstance(frame, bytes):
            if not self._outbox and self._writable:
                self._written += len(frame)
                self._transport.write(frame)
                return
            frame = (frame, b"")
        self._outbox.extend(memoryview(part) for part in frame if part)
        if self._writable:
            self._pump()

    def _pump(self) -> None:
        outbox = self._outbox
        while outbox and self._writable and not self._ended:
            part = outbox.popleft()
            if len(part) > _PART:
                outbox.appendleft(part[_PART:])
                part = part[:_PART]
            self._written += len(part)
            self._transport.write(part)
        if self._writable and not outbox:
            if self.protocol.pending:
                self._say_what_is_due()
            if not self.protocol.open:
                self._end_if_closed()
            for waiter in list(self._others):
                _wake(waiter)

    def _say_what_is_due(self) -> None:
        # While the peer takes nothing, what is due waits in the protocol, which bounds it.
        if (self._writable and not self._outbox) or not self.protocol.open:
            self._write(self.protocol.data_to_send())

    # Time

    def _set_timer(self) -> None:
        deadline = self.protocol.next_deadline()
        if deadline is not None and not self._ended:
            self._restart_timer(deadline - self._clock())

    def _restart_timer(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        protocol = self.protocol
        if self._transport.is_closing() or self._ended:
            self._transport.abort()
            return
        if protocol.state is State.CLOSED and not self._outbox:
            self._end()
            return
        if not self._unread.has_room:
            self._spared += 1  # the peer cannot show that it lives while nobody receives what it sent: not its fault
        backlog = int(self._transport.get_write_buffer_size())
        if self._backlog and self._written - backlog > self._taken:
            self._progress += 1  # the kernel took what it had no room for: the peer has read something
        self._backlog, self._taken = backlog, self._written - backlog
        protocol.on_deadline(self._clock(), protocol.heard + self._progress + self._spared)
        if protocol.pending:
            self._say_what_is_due()
        if protocol.lost:
            self._transport.abort()
        self._set_timer()

    # Waking

    def _wake_one(self) -> None:
        while self._receivers:
            receiver = self._receivers.popleft()
            if not receiver.done():
                receiver.set_result(None)
                return

    def _wake_all(self) -> None:
        for waiter in [*self._receivers, *self._others]:
            _wake(waiter)
        self._receivers.clear()


class TakenTransport(asyncio.Transport):
    """What a web server is left with when its transport has been taken over: nothing can be written to it any more.

    So no response ends up between frames when a request's handler returns or raises, and a server that closes its
    connections ends the WebSocket.

    :param link: the connection that took the transport over.
    :param transport: that transport.
    """

    def __init__(self, link: AioLink, transport: asyncio.Transport) -> None:
        super().__init__()
        self._link = link
        self._transport = transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known about the connection."""
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Refuse writing."""
        return True

    def close(self) -> None:
        """End the WebSocket: nobody is here any more."""
        self._link.abandon()

    abort = close


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
