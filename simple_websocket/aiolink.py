"""`AioLink`: one connection on an asyncio transport: what ``link.py`` and the keeper are to threads.

Everything runs in the event loop's thread, so there are no locks; a frame is handed over whole before anything is awaited,
which is why cancelling a call at any await loses and tears nothing.  No task, and at most one timer, for each connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from .aioinbound import TURN, AioInbound, buffer_of
from .aiooutbound import AioOutbound
from .aiowaiting import Receivers, Waiters
from .errors import CloseReason
from .protocol.connection import Pong, Protocol, State
from .protocol.payload import PreparedMessage, payload_of
from .protocol.unread import Unread

__all__ = ["AioLink", "TakenTransport"]

# How long a client waits for the server to end TCP after both Close frames have passed (RFC 6455 section 7.1.1).
_EOF_TIMEOUT = 0.5

# After this many messages in a row for which `receive` had not to wait, the event loop has its turn.
_STREAK = 64


class Timer:
    """The one timer of a connection.

    :param call: what to call when its time has come.
    :param deadline: returns when the protocol wants to be called, ``None`` for never.
    """

    __slots__ = ("_call", "_deadline", "_ended", "_handle", "_loop", "_when")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, call: Callable[[], None], deadline: Callable[[], float | None]
    ) -> None:
        self._loop = loop
        self._call = call
        self._deadline = deadline
        self._handle: asyncio.TimerHandle | None = None
        self._when = 0.0
        self._ended = False

    def set(self) -> None:
        """Have it call when the protocol wants to be called."""
        deadline = self._deadline()
        if deadline is not None:
            self.start(deadline - time.monotonic())

    def start(self, delay: float) -> None:
        """Have it call after `delay` seconds, or before: who is called too early starts it again."""
        when = self._loop.time() + delay
        if not self._ended and (self._handle is None or when < self._when):
            self._stop()
            self._when = when
            self._handle = self._loop.call_later(delay, self._fire)

    def end(self) -> None:
        """Never call again."""
        self._ended = True
        self._stop()

    @property
    def running(self) -> bool:
        """Whether it will call."""
        return self._handle is not None

    def _stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._call()


class AioLink(asyncio.BufferedProtocol):
    """One connection's input and output.

    :param protocol: the connection's state machine.
    :param client: whether this side is the client, which leaves it to the server to end TCP.
    :param unread: keeps what has arrived and nobody has received.
    :param lost: called with the exception, or ``None``, when the transport has ended.
    """

    __slots__ = (
        "__weakref__", "_answering", "_buffer", "_client", "_clock", "_closers", "_collecting", "_ended", "_inbound", "_lost",
        "_outbound", "_receivers", "_spared", "_streak", "_timer", "_transport", "_turn_due", "_unread", "loop", "protocol",
    )  # fmt: skip

    def __init__(
        self, protocol: Protocol, client: bool, unread: Unread, lost: Callable[[Exception | None], None] | None = None
    ) -> None:
        self.protocol = protocol
        self._client = client
        self._unread = unread
        self._lost = lost
        self.loop = asyncio.get_running_loop()
        self._buffer = buffer_of(self.loop)
        # Whether the transport reads into the decoder's buffer, and not into that.
        self._collecting = False
        self._clock = time.monotonic  # uvloop's clock only counts milliseconds
        self._transport: Any = None
        self._inbound = AioInbound()
        self._outbound = AioOutbound(protocol, client, self._end_if_closed)
        self._ended = False
        self._turn_due = False
        self._streak = 0
        # Whether the application has received a message and not come back for the next one.
        self._answering = False
        self._spared = 0
        self._receivers = Receivers(unread)
        self._closers = Waiters()
        self._timer = Timer(self.loop, self._on_timer, protocol.next_deadline)

    # Called by the transport

    def connection_made(self, transport: Any) -> None:
        """Take the transport, and what has been received before."""
        self._transport = transport
        self._outbound.start(transport)
        self._inbound.start(transport)
        self._timer.set()
        self._decode()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return what to read into."""
        payload = self.protocol.decoder.buffer
        if payload is None:
            self._collecting = False
            return self._buffer
        self._collecting = True
        return memoryview(payload)

    def buffer_updated(self, nbytes: int) -> None:
        """Take received bytes."""
        if self._collecting:
            self.protocol.receive_data(nbytes)
            if not self.protocol.decoder.exhausted:
                self._decode()
            return
        if self._receivers:
            message = self.protocol.receive_message(self._buffer, nbytes)
            if message is not None:
                # So it is with nearly every message of a connection that waits for one.
                self._answering = True
                if not self._receivers.hand(message, self.loop):
                    self._answering = False
                    self._unread.put(message)
                    self._decode()
                return
        data = self._buffer[:nbytes]
        if nbytes <= TURN or nbytes <= self.protocol.decoder.span(data):
            self.protocol.receive_data(data.tobytes())
            self._decode()
        else:
            self._inbound.put(data.tobytes())
            self._take_turn()

    def _take_turn(self) -> None:
        """Decode the next part of what has been received."""
        self._turn_due = False
        rest = self._inbound.rest
        if rest is not None:
            self.protocol.receive_data(self._inbound.take(max(TURN, self.protocol.decoder.span(rest))))
            self._decode()

    def connection_lost(self, error: Exception | None) -> None:
        """Wake everybody: the connection has ended."""
        self._inbound.end()
        if rest := self._inbound.take():
            self.protocol.receive_data(rest)
            self._decode()
        self.protocol.receive_data(b"")
        self._ended = True
        self._outbound.end()
        self._timer.end()
        self._receivers.wake_all()
        self._closers.wake_all()
        if self._lost is not None:
            self._lost(error)
            self._lost = None

    def pause_writing(self) -> None:
        """Wait with writing: the peer is slow."""
        self._outbound.writable = False

    def resume_writing(self) -> None:
        """Go on with writing."""
        self._outbound.resume()

    # Called by the connection

    async def receive(self, timeout: float | None, iterating: bool = False) -> str | bytes | None:
        """Return the next message; ``None`` when there was none within `timeout` seconds.

        :param iterating: whether the end of the connection is the end of an iteration, and no error.  Default: ``False``.
        """
        unread = self._unread
        self._streak += 1
        if self._streak > _STREAK:
            self._streak = 0
            await asyncio.sleep(0)
        deadline = None if timeout is None else self._clock() + timeout
        polled = False
        message: str | bytes | None
        while not unread:
            # Nobody has a message to answer any more.
            self._streak = 0
            self._answering = False
            protocol = self.protocol
            if protocol.violation is not None:
                self._decode()
            if not protocol.open and self._over:
                raise StopAsyncIteration if iterating else protocol.closed_error()
            if deadline is None:
                receiver = self._receivers.new_waiter(self.loop)
                self._receivers.append(receiver)
                try:
                    message = await receiver
                except BaseException:
                    self._receivers.stand_back(receiver)
                    raise
            else:
                left = deadline - self._clock()
                if left > 0:
                    polled = True
                    message = await self._receivers.wait(self.loop, left)
                elif polled:
                    return None
                else:
                    # What can be read now is read by the loop: one turn of it polls, the next one has called us.
                    polled = True
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    continue
            if message is not None:
                return message
        message = unread.take()
        self._answering = True
        if not self._inbound.reading and unread.has_room:
            self._decode()
        return message

    def send(self, data: Any) -> Coroutine[Any, Any, None] | None:
        """Send one message, whole; what is to be awaited while the peer is slow is returned."""
        outbound, protocol = self._outbound, self.protocol
        plain = (type(data) is str or type(data) is bytes) and protocol.open and len(data) < protocol.plain_below
        if not (plain and outbound.send(data)):
            outbound.write(protocol.send(data if type(data) is str else payload_of(data)))
        return None if outbound.writable else outbound.drained()

    def post(self, message: PreparedMessage) -> bool:
        """Send one message, if the peer is not slow; return whether it was sent."""
        return self._outbound.post(self.protocol.send(message))

    async def ping(self, payload: bytes) -> None:
        """Send a ping."""
        self._outbound.write(self.protocol.ping(payload, self._clock()))
        if not self._outbound.writable:
            await self._outbound.drained()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection; return when it has ended, after the close timeout at the latest."""
        self.protocol.begin_close(code, reason, self._clock())
        if not self._ended:
            self._outbound.write(self.protocol.close(code, reason))
            self._decode()  # the peer's Close frame may be behind messages that there was no room for
        while not self._ended:
            await self._closers.wait(self.loop)

    def abandon(self) -> None:
        """End a connection that nobody can use any more, without waiting."""
        if self.protocol.open and self._transport is not None:  # what is closing has its deadline
            self.protocol.leave(CloseReason.GOING_AWAY, self._clock())
            self._outbound.say_what_is_due()
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
        next_event = protocol.next_event
        while unread.has_room or not (protocol.open or self._ended):
            event = next_event()
            if event is None:
                if self._inbound.rest is not None:
                    self._inbound.read_on(False)
                    if not self._turn_due:
                        self._turn_due = True
                        self.loop.call_soon(self._take_turn)
                elif not self._inbound.reading:
                    self._inbound.read_on(True)
                break
            if isinstance(event, Pong):
                protocol.pong_received(event, self._clock())
            elif receivers and receivers.hand(event):
                self._answering = True
            elif protocol.open or unread.has_room:
                unread.put(event)
        else:
            self._inbound.read_on(False)
        if protocol.violation is not None:
            if self._answering or unread:
                protocol.fail_later(self._clock())
                self._timer.set()
            else:
                protocol.fail()
        if protocol.pending:
            self._outbound.say_what_is_due()
        if not protocol.open:
            protocol.start_close_timer(self._clock())
            self._timer.set()
            self._end_if_closed()
            if self._over:
                receivers.wake_all()

    # Ending

    def _end_if_closed(self) -> None:
        """End the transport once the closing handshake is complete and written."""
        protocol, transport = self.protocol, self._transport
        if protocol.open or transport is None or transport.is_closing() or not self._outbound.empty:
            return
        if protocol.state is State.CLOSED:
            if self._client and not protocol.lost:
                self._timer.start(min(_EOF_TIMEOUT, self._closing_patience))
            else:
                self._end()
        elif protocol.failure and protocol.close_sent and transport.can_write_eof():
            try:
                transport.write_eof()  # the peer need not answer: it is being read to its end only (section 7.1.7)
            except OSError:
                pass  # it has gone already

    def _end(self) -> None:
        """Let the transport write what it has and end; a peer that does not let it is not waited for beyond the deadline."""
        self._transport.close()
        self._timer.start(self._closing_patience)

    @property
    def _closing_patience(self) -> float:
        return max(0.0, self.protocol.start_close_timer(self._clock()) - self._clock())

    # Time

    def _on_timer(self) -> None:
        protocol = self.protocol
        if self._transport.is_closing() or self._ended:
            if self._ended or self._closing_patience <= 0:
                self._transport.abort()
            else:
                self._timer.start(self._closing_patience)
            return
        if protocol.state is State.CLOSED and self._outbound.empty:
            self._end()
            return
        if not self._unread.has_room:
            self._spared += 1  # the peer cannot show that it lives while nobody receives what it sent: not its fault
        protocol.on_deadline(self._clock(), protocol.heard + self._outbound.signs_of_life() + self._spared)
        if protocol.pending:
            self._outbound.say_what_is_due()
        if protocol.lost:
            self._transport.abort()
        self._timer.set()


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
