"""`Inbound`: the receiving half of a connection's input and output, as far as it does not wait for a message.

Everything here happens under the connection's read lock.
"""

from __future__ import annotations

from collections.abc import Callable

from .outbound import Outbound
from .protocol.connection import Pong, Protocol, State
from .protocol.unread import Unread
from .transport import Transport

__all__ = ["Inbound"]

# The keeper turns to another connection after this many reads; a read full of tiny frames takes a millisecond.
_READS_AHEAD = 4


class Inbound:
    """Reads and decodes what is there, and keeps what nobody has received yet.

    :param transport: where to read.
    :param protocol: the connection's state machine, of which this uses the inbound half.
    :param outbound: writes what the protocol has to answer.
    :param unread: keeps what was read ahead.
    :param receive_bytes: how much to read at once, in bytes.
    :param clock: monotonic time in seconds.
    """

    __slots__ = ("_clock", "_outbound", "_protocol", "_receive_bytes", "_transport", "_unread", "answering")

    def __init__(
        self,
        transport: Transport,
        protocol: Protocol,
        outbound: Outbound,
        unread: Unread,
        receive_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._outbound = outbound
        self._unread = unread
        self._receive_bytes = receive_bytes
        self._clock = clock
        #: Whether the application has received a message and not come back for the next one.
        self.answering = False

    def read_ahead(self) -> bool:
        """Read and decode what is there without waiting, as far as there is room; return whether there may be more to read."""
        protocol = self._protocol
        more = True
        reads = _READS_AHEAD
        while True:
            self._decode()
            if protocol.pending:
                self._outbound.flush()
            if not reads:
                break
            reads -= 1
            if protocol.lost or protocol.violation is not None or not (self._unread.has_room or protocol.closed_here):
                more = False
                break
            data = self._transport.try_read(protocol.decoder.place(self._receive_bytes))
            if data is None:
                more = False
                break
            protocol.receive_data(data)
        if not protocol.open:
            protocol.start_close_timer(self._clock())
        return more

    def read_to_the_end(self, deadline: float) -> None:
        """Read until the closing handshake is complete."""
        protocol = self._protocol
        while True:
            self._decode()
            if protocol.pending:
                self._outbound.flush(deadline)
            left = deadline - self._clock()
            if protocol.state is State.CLOSED or left <= 0:
                return  # a peer that goes on sending must not keep us here
            data = self._transport.read(protocol.decoder.place(self._receive_bytes), left)
            if data is None:
                return
            protocol.receive_data(data)

    def await_eof(self, timeout: float) -> None:
        """Let the peer end TCP first, for `timeout` seconds at most."""
        deadline = self._clock() + timeout
        while self._protocol.close_received and not self._protocol.lost and (left := deadline - self._clock()) > 0:
            if not self._transport.read(self._receive_bytes, left):
                return

    def _decode(self) -> None:
        """Keep the messages that have arrived, up to the bound; once this side has closed, drop those that exceed it."""
        protocol = self._protocol
        while self._unread.has_room or protocol.closed_here:
            event = protocol.next_event()
            if event is None:
                break
            if isinstance(event, Pong):
                protocol.pong_received(event, self._clock())
            elif self._unread.has_room:
                self._unread.put(event)
        if protocol.violation is not None:
            if protocol.closed_here or not (self.answering or self._unread):
                protocol.fail()
            else:
                protocol.fail_later(self._clock())
