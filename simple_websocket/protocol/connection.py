"""`Protocol`: a WebSocket connection after its opening handshake, without I/O (RFC 6455 sections 5 to 7).

The two halves may be used at the same time by two threads; each attribute has one writer:

=============  ==========================================================  =============================================
half           methods                                                     attributes it writes
=============  ==========================================================  =============================================
inbound        receive_data, receive_message, next_event, fail,            _decoder, _assembler, close_received, heard,
(read lock)    pong_received                                               latency, violation
outbound       send, ping, close, data_to_send, end_of_sending             _deflater, close_sent, _pings
(write lock)
neither        on_deadline (the keeper); begin_close, start_close_timer,   _keepalive; _close_by, open, closed_here,
               abort, leave (anybody); what is left is to look at          failure, departure and lost only ever change
                                                                           in one way
=============  ==========================================================  =============================================

What the inbound half has to answer (pongs, the reply to a Close frame) waits in a queue that both may touch, because
appending to a list and taking from it are atomic; `pending` says that `data_to_send` has something to give.

States: OPEN until either side closes; CLOSING until both Close frames have passed; then CLOSED.  A connection that was
failed (section 7.1.7) or lost is CLOSED at the end of the stream or when `abort` is called.
"""

from __future__ import annotations

import sys
from enum import Enum
from typing import NamedTuple

from ..errors import CloseReason, ConnectionClosed, ProtocolViolation
from .clock import Keepalive
from .control import Answers, Pings
from .deflate import DeflateExtension
from .frames import BINARY, CLOSE, MAX_CONTROL_PAYLOAD, PING, PONG, RSV1, TEXT, FrameDecoder, encode, encode_message
from .messages import MessageAssembler
from .outbox import Frame
from .payload import PreparedMessage

__all__ = ["Pong", "Protocol", "State", "check_close"]

# A peer that broke the protocol is given this many seconds to read why and go (section 7.1.7): ending TCP while it still
# sends would reset the connection, and it might never see the Close frame.
_FAILURE_TIMEOUT = 1.0

# Codes that stand for the absence of one (section 7.4.1).
_NOT_SENT = (CloseReason.ABNORMAL_CLOSURE, CloseReason.TLS_HANDSHAKE_FAILED)
_DEFINED = frozenset(int(code) for code in CloseReason)


class State(Enum):
    """Where a connection is between its opening handshake and its end."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Pong(NamedTuple):
    """A pong arrived."""

    payload: bytes


class Protocol:
    """The state machine of one connection.

    :param client: whether this side is the client, which masks what it sends.
    :param deflate: permessage-deflate as negotiated, or ``None``.
    :param max_message_size: the most bytes of a message to receive, ``None`` for no limit.
    :param close_timeout: seconds that the closing handshake may take.
    :param keepalive: sends pings and notices a dead peer, or ``None``.
    """

    __slots__ = (
        "_answers", "_assembler", "_client", "_close_by", "_close_timeout", "_deaf", "_deflater", "_fail_by", "_keepalive",
        "_pings", "close_received", "close_sent", "closed_here", "decoder", "defers_failures", "departure", "failure", "heard",
        "latency", "lost", "open", "pending", "plain_below", "violation",
    )  # fmt: skip

    def __init__(
        self,
        client: bool,
        deflate: DeflateExtension | None,
        max_message_size: int | None,
        close_timeout: float,
        keepalive: Keepalive | None,
    ) -> None:
        self._client = client
        self._deflater = None if deflate is None else deflate.deflater()
        #: Messages of fewer bytes are sent as they are.
        self.plain_below = sys.maxsize if self._deflater is None else self._deflater.threshold
        self._assembler = MessageAssembler(max_message_size, None if deflate is None else deflate.inflater())
        #: Knows where to read, and how much: `buffer`, `expected`, `span`.
        self.decoder = FrameDecoder(not client, deflate is not None, self._assembler.announce, max_message_size)
        # Whether what arrives is not decoded any more: after a Close frame, a violation, or `fail`.
        self._deaf = False
        self._close_timeout = close_timeout
        self._keepalive = keepalive
        self._close_by: float | None = None
        self._answers = Answers()
        self._pings = Pings()
        #: Whether messages may still be sent and received.
        self.open = True
        #: Whether `data_to_send` has something to give.
        self.pending = False
        #: Whether this side has begun to close the connection; what arrives then need not be kept.
        self.closed_here = False
        #: Code and reason of the peer's Close frame.
        self.close_received: tuple[int, str] | None = None
        #: Whether our Close frame was handed out.
        self.close_sent = False
        #: Close code and reason with which this side failed the connection.
        self.failure: tuple[int, str] | None = None
        #: Whether a shell calls `fail` itself, when nobody has a message in front of the violation to answer any more.
        self.defers_failures = False
        #: What the peer did wrong, until `fail`.
        self.violation: ProtocolViolation | None = None
        self._fail_by: float | None = None
        #: Close code and reason with which this side has left.
        self.departure: tuple[int, str] | None = None
        #: Whether nothing can arrive any more.
        self.lost = False
        #: How many times something arrived: the signs of life that the keepalive counts.
        self.heard = 0
        #: Seconds between the latest answered ping and its pong.
        self.latency: float | None = None

    # Inbound half

    def receive_data(self, data: bytes | int) -> None:
        """Take bytes that the peer sent, or the number of those in the decoder's buffer; nothing means the end of the stream."""
        if not data:
            self.abort()
            if not self.decoder.buffered:
                self.decoder.discard()
                self._assembler.discard()
            return
        self.heard += 1
        if not self._deaf:
            self.decoder.feed(data)

    def receive_message(self, buffer: bytes | memoryview, size: int) -> str | bytes | None:
        """Return the message that the first `size` of these received bytes are, when they are one and nothing else.

        Otherwise nothing is taken: they are for `receive_data`.
        """
        if self._deaf or self._assembler.opcode:
            return None
        message = self.decoder.sole_message(buffer, size)
        if message is not None:
            self.heard += 1
        return message

    def next_event(self) -> str | bytes | Pong | None:
        """Return the next message or pong, ``None`` when there is none before more data arrives.

        Pings, Close frames and violations are dealt with here: see `pending` and `state` afterwards.
        """
        decoder = self.decoder
        if not (self._deaf or decoder.exhausted):
            try:
                if not self._assembler.opcode:
                    message = decoder.next_whole()
                    if message is not None:
                        return message
                while (piece := decoder.next_piece()) is not None:
                    opcode, rsv1, fin, payload, frame_ends = piece
                    if opcode < CLOSE:
                        message = self._assembler.add(opcode, rsv1, fin, payload, frame_ends)
                        if message is not None:
                            return message
                    elif opcode == PONG:
                        return Pong(payload)
                    elif opcode == PING:
                        self._answers.put(PONG, payload)
                        self.pending = True
                    else:
                        self.close_received = _parse_close(payload)
                        self._deaf = True
                        self.open = False
                        self.pending = True
                        break
            except ProtocolViolation as violation:
                self._deaf = True
                self.violation = violation
                if not self.defers_failures:
                    self.fail()
        if self._deaf or self.lost:
            decoder.discard()
            self._assembler.discard()
        return None

    def fail_later(self, now: float) -> None:
        """Leave it to the application to come back for more, for a second at the most."""
        if self._fail_by is None:
            self._fail_by = now + min(self._close_timeout, _FAILURE_TIMEOUT)

    def fail(self, violation: ProtocolViolation | None = None) -> None:
        """_Fail the WebSocket Connection_ (section 7.1.7): say so in a Close frame and accept nothing more.

        :param violation: why.  Default: what the peer has done wrong; when that is nothing, nothing happens.
        """
        reason = violation or self.violation
        if reason is None:
            return
        if self.failure is None:
            self.failure = (reason.code, reason.message)
        self.violation = None
        self._deaf = True
        self.open = False
        self.closed_here = True
        self.pending = True

    def pong_received(self, pong: Pong, now: float) -> None:
        """Take the time at which a pong arrived."""
        sent = self._pings.answered(pong.payload)
        if sent is not None:
            self.latency = now - sent

    # Outbound half

    def send(self, data: str | bytes | PreparedMessage) -> Frame:
        """Return the bytes of a message, text or binary.

        :raises ConnectionClosed: the connection is closing or closed.
        :raises UnicodeEncodeError: the text has lone surrogates, which UTF-8 cannot express.
        """
        if not self.open:
            raise self.closed_error()
        deflater = self._deflater
        if isinstance(data, PreparedMessage):
            if not self._client:
                return data.frame(deflater)
            data = data.data
        if deflater is None:
            return encode_message(data, self._client)
        opcode, payload = (TEXT, data.encode()) if isinstance(data, str) else (BINARY, data)
        if len(payload) < self.plain_below:
            return encode(opcode, payload, self._client)
        return encode(opcode, deflater.deflate(payload), self._client, RSV1)

    def ping(self, payload: bytes, now: float) -> Frame:
        """Return the bytes of a Ping frame (section 5.5.2).

        :raises ConnectionClosed: the connection is closing or closed.
        :raises ValueError: the payload has more than 125 bytes.
        """
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"a ping carries at most {MAX_CONTROL_PAYLOAD} bytes, not {len(payload)}")
        if not self.open:
            raise self.closed_error()
        self._pings.put(payload, now)
        return encode(PING, payload, self._client)

    def close(self, code: int, reason: str) -> Frame:
        """Return the bytes of a Close frame (section 5.5.1), empty when one was sent before.

        :raises ValueError: the code may not be sent (section 7.4), or the reason has lone surrogates.
        """
        payload = _close_payload(code, reason)
        if self.close_sent or self.lost:
            return b""
        self.close_sent = True
        return encode(CLOSE, payload, self._client)

    def end_of_sending(self, now: float) -> None:
        """Take it that nothing can be written any more; what has arrived can still be read."""
        self.open = False
        self.close_sent = True
        self.start_close_timer(now)

    def data_to_send(self) -> bytes:
        """Return what the inbound half and the keepalive have to say: pongs, pings, the reply to a Close frame."""
        self.pending = False  # before looking, so that what is added meanwhile is not forgotten
        frames = []
        while (answer := self._answers.take()) is not None:
            if not self.close_sent:
                frames.append(_joined(encode(*answer, self._client)))
        ours = self.failure or self.departure
        due = ours or self.close_received
        if due is not None and not self.close_sent and not self.lost:
            self.close_sent = True
            frames.append(_joined(encode(CLOSE, _close_payload(due[0], due[1] if ours else ""), self._client)))
        return frames[0] if len(frames) == 1 else b"".join(frames)

    # Clock

    def next_deadline(self) -> float | None:
        """Return when `on_deadline` has to be called, ``None`` for never."""
        if self._close_by is not None:
            return self._close_by
        ping = None if self._keepalive is None else self._keepalive.deadline
        if self._fail_by is None or self.failure is not None:
            return ping
        return self._fail_by if ping is None else min(ping, self._fail_by)

    def on_deadline(self, now: float, signs: int) -> None:
        """Do what is due: queue a ping, fail a connection whose peer is dead, give a closing handshake up.

        :param now: time of the clock that the deadlines are on, in seconds.
        :param signs: count of signs of life so far.
        """
        if self._close_by is not None:
            if now >= self._close_by:
                self.abort()
        elif self._fail_by is not None and now >= self._fail_by:
            self.fail()
        elif self._keepalive is not None:
            ping, dead = self._keepalive.on_deadline(now, signs)
            if ping and self.open:
                payload = signs.to_bytes(8, "big")
                self._pings.put(payload, now)
                self._answers.put(PING, payload)
                self.pending = True
            if dead:
                self.fail(ProtocolViolation(CloseReason.POLICY_VIOLATION, "no sign of life after a ping"))
                self._close_by = now  # the peer is not asked to confirm

    def start_close_timer(self, now: float, grace: float = 0.0) -> float:
        """Return when closing has to be over; it starts now, if it did not before, and takes `grace` seconds at the least."""
        if self._close_by is None:
            timeout = self._close_timeout
            brief = self.failure is not None or self.departure is not None
            self._close_by = now + max(grace, min(timeout, _FAILURE_TIMEOUT) if brief else timeout)
        return self._close_by

    def begin_close(self, code: int, reason: str, now: float, grace: float = 0.0) -> float:
        """Refuse new messages, because this Close frame will be sent; return when closing has to be over for the caller.

        :param grace: seconds for which others leave ending to the caller at the least.  Default: 0.
        :raises ValueError: as `close` does.
        """
        _close_payload(code, reason)
        by = self.start_close_timer(now, grace)
        self.open = False
        self.closed_here = True
        return min(by, now + self._close_timeout)

    def leave(self, code: int, now: float) -> None:
        """Queue a Close frame because nobody will be here any more; the peer has a second for its part, not the close timeout."""
        if self.open:
            self.departure = (code, "")
            self.open = False
            self.closed_here = True
            self.pending = True
        self.start_close_timer(now)

    def abort(self) -> None:
        """Give the connection up: nothing can arrive or be sent any more."""
        self.open = False
        self.lost = True

    # To look at

    @property
    def state(self) -> State:
        """Where the connection is."""
        if self.open:
            return State.OPEN
        if self.lost or (self.close_sent and self.close_received is not None):
            return State.CLOSED
        return State.CLOSING

    @property
    def close_status(self) -> tuple[int, str | None] | None:
        """Close code and reason (sections 7.1.5 and 7.1.6), 1006 when there was no Close frame; ``None`` before the end."""
        status = self.departure or self.close_received or self.failure
        return (CloseReason.ABNORMAL_CLOSURE, None) if status is None and self.lost else status

    def closed_error(self) -> ConnectionClosed:
        """Return the exception that says how the connection ended, or is about to."""
        return ConnectionClosed(*(self.close_status or (CloseReason.ABNORMAL_CLOSURE, None)))


def check_close(code: int, reason: str) -> None:
    """Check a Close frame's code and reason.

    :raises ValueError: the code may not be sent (section 7.4), or the reason has lone surrogates.
    """
    _close_payload(code, reason)


def _joined(frame: Frame) -> bytes:
    assert isinstance(frame, bytes)  # control frames are short
    return frame


def _parse_close(payload: bytes) -> tuple[int, str]:
    if not payload:
        return CloseReason.NO_STATUS_RCVD, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not _may_be_sent(code):
        raise ProtocolViolation(CloseReason.PROTOCOL_ERROR, "Close frame with an invalid code")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as error:
        raise ProtocolViolation(CloseReason.INVALID_FRAME_PAYLOAD_DATA, f"close reason is not UTF-8: {error}") from None


def _may_be_sent(code: int) -> bool:
    """Whether a Close frame may carry this code (sections 7.4.1 and 7.4.2)."""
    if 3000 <= code <= 4999:
        return True
    return code in _DEFINED and code not in _NOT_SENT and code != CloseReason.NO_STATUS_RCVD


def _close_payload(code: int, reason: str) -> bytes:
    if code == CloseReason.NO_STATUS_RCVD:
        return b""
    if code in _NOT_SENT:
        code = CloseReason.NORMAL_CLOSURE  # a user may pass on what another connection ended with
    if not _may_be_sent(code):
        raise ValueError(f"close code {code} may not be sent; use 1000-1003, 1007-1013 or 3000-4999 (RFC 6455 section 7.4)")
    # At most 123 bytes fit behind the code; a cut character is dropped whole.
    text = reason.encode()[: MAX_CONTROL_PAYLOAD - 2].decode("utf-8", "ignore")
    return code.to_bytes(2, "big") + text.encode()
