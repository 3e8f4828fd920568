"""Our codec against wsproto's, on random streams, valid and invalid: byte for byte and error for error.

HYPOTHESIS_PROFILE=long tries thirty times as many examples, other ones on each run.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.events import Pong as WsprotoPong
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason

from simple_websocket.protocol.connection import Pong, State

from .streams import (
    Deflate,
    Setup,
    any_stream,
    arrivals,
    control_payloads,
    deflate_setups,
    messages,
    plain_setups,
    setups,
)
from .wire import BINARY, CLOSE, CONTINUATION, PING, RSV1, TEXT, Seen, deflated, frame, joined, parse

if os.environ.get("HYPOTHESIS_PROFILE") == "long":
    pytestmark = pytest.mark.limit(7200)


class FixedDeflate(PerMessageDeflate):
    """wsproto 1.3.2's permessage-deflate without three bugs, and a note when it came to a fourth.

    - A control frame between the fragments of a compressed message made it forget that the message is compressed, so
      that the rest was taken as it stands (RFC 7692 section 6.2: RSV1 is on the first fragment only).
    - A text or binary frame inside a fragmented compressed message was inflated before it was refused: 1007, invalid
      data, instead of 1002, wrong opcode (RFC 6455 section 5.4).
    - Behind a block with BFINAL set (RFC 7692 section 7.2.3.4) it ignores all compressed data for ever. This is not
      mended here but noted in `stuck`, and the comparison ends with the segment that brought such a block.
    """

    stuck = False
    _in_message = False
    _misplaced = False

    def frame_inbound_header(self, proto: Any, opcode: Any, rsv: Any, payload_length: int) -> Any:
        compressed = self._inbound_compressed
        self._misplaced = self._in_message and opcode in (TEXT, BINARY)
        result = super().frame_inbound_header(proto, opcode, rsv, payload_length)
        if opcode.iscontrol():
            self._inbound_compressed = compressed
        return result

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes | CloseReason:
        if self._misplaced:
            return CloseReason.PROTOCOL_ERROR
        result = super().frame_inbound_payload_data(proto, data)
        self._look(self._decompressor)
        return result

    def frame_inbound_complete(self, proto: Any, fin: bool) -> bytes | CloseReason | None:
        if not self._inbound_is_compressible:
            return None  # a control frame ends no message
        self._in_message = not fin
        decompressor = self._decompressor
        result = super().frame_inbound_complete(proto, fin)
        self._look(decompressor)
        return result

    def _look(self, decompressor: Any) -> None:
        if decompressor is not None and decompressor.eof:
            self.stuck = True


class Theirs:
    """wsproto, with its partial events joined, and its answers as we give them."""

    def __init__(self, setup: Setup) -> None:
        self.connection = setup.wsproto(FixedDeflate)
        self.masked = setup.client
        self.messages: list[str | bytes] = []
        self.pongs: list[bytes] = []
        self.end: tuple[Any, ...] | None = None
        self.parts: list[Any] = []

    @property
    def stuck(self) -> bool:
        return any(extension.stuck for extension in self.connection._proto.extensions)

    def feed(self, chunk: bytes) -> bytes:
        """Take a segment; return what there is to answer."""
        self.connection.receive_data(chunk)
        out = b""
        for said in self.connection.events():
            if isinstance(said, Message):
                self.parts.append(said.data)
                if said.message_finished:
                    self.messages.append(self.parts[0][:0].join(self.parts))
                    self.parts = []
            elif isinstance(said, Ping):
                out += self.connection.send(said.response())
            elif isinstance(said, WsprotoPong):
                self.pongs.append(bytes(said.payload))
            elif isinstance(said, CloseConnection):
                # Its own parse failure looks like a close by the peer, but for the state it is in.
                if self.connection.state is ConnectionState.REMOTE_CLOSING:
                    self.end = ("closed", said.code, said.reason)
                else:
                    self.end = ("failed", said.code)
                # We do not repeat the reason of a peer.
                out += self.connection.send(CloseConnection(said.code))
        return out


class Ours:
    """Our protocol, seen in the same way."""

    def __init__(self, setup: Setup, limit: int | None = None) -> None:
        self.protocol = setup.ours(limit)
        self.messages: list[str | bytes] = []
        self.pongs: list[bytes] = []

    @property
    def end(self) -> tuple[Any, ...] | None:
        if self.protocol.close_received is not None:
            assert self.protocol.failure is None
            return ("closed", *self.protocol.close_received)
        return None if self.protocol.failure is None else ("failed", self.protocol.failure[0])

    def feed(self, chunk: bytes) -> bytes:
        self.protocol.receive_data(chunk)
        while (said := self.protocol.next_event()) is not None:
            if isinstance(said, Pong):
                self.pongs.append(said.payload)
            else:
                self.messages.append(said)
        assert self.protocol.open is (self.end is None)
        return self.protocol.data_to_send()


def without_reason(frames: list[Seen]) -> list[Seen]:
    return [Seen(CLOSE, seen.payload[:2]) if seen.opcode == CLOSE else seen for seen in frames]


def compare(setup: Setup, chunks: list[bytes]) -> str:
    """Feed the segments to both, compare after each, and return how it ended."""
    ours, theirs = Ours(setup), Theirs(setup)
    for chunk in chunks:
        answers, expected = ours.feed(chunk), theirs.feed(chunk)
        if theirs.stuck:
            return "a block with BFINAL set: comparison ended"
        assert ours.messages == theirs.messages
        assert ours.pongs == theirs.pongs
        assert ours.end == theirs.end
        pongs_and_close = parse(expected, setup.client)
        # Of a flood in one segment we answer the latest 64 pings.
        close = pongs_and_close[-1:] if theirs.end is not None else []
        pongs = pongs_and_close[: len(pongs_and_close) - len(close)]
        if ours.end is not None and ours.end[0] == "failed":
            # Why, in words: not the same words.
            assert without_reason(parse(answers, setup.client)) == pongs[-64:] + close
        elif setup.client or len(pongs) > 64:
            assert parse(answers, setup.client) == pongs[-64:] + close
        else:
            assert answers == expected
        if theirs.end is not None:
            break
    end = theirs.end
    return "no end" if end is None else "closed" if end[0] == "closed" else f"failed with {end[1]:d}"


# Inbound

most = settings(max_examples=2 * settings().max_examples)


@most
@given(st.data())
def test_inbound_of_both_roles(data):
    setup = data.draw(plain_setups)
    event(compare(setup, data.draw(arrivals(data.draw(any_stream(setup))))))


@most
@given(st.data())
def test_inbound_of_both_roles_with_compression(data):
    setup = data.draw(deflate_setups)
    event(compare(setup, data.draw(arrivals(data.draw(any_stream(setup))))))


@given(st.data())
def test_inbound_of_valid_streams_loses_nothing(data):
    """Without damage and wrong text, both sides get every message: the comparison above is not one of failures only."""
    setup = data.draw(setups)
    sent = data.draw(st.lists(messages, max_size=6))
    peer = setup.peer.ours()
    stream = b""
    for message in sent:
        stream += joined(peer.send(message))
    chunks = data.draw(arrivals(stream))
    ours, theirs = Ours(setup), Theirs(setup)
    for chunk in chunks:
        assert ours.feed(chunk) == theirs.feed(chunk) == b""
    assert ours.messages == theirs.messages == sent
    assert ours.end is theirs.end is None


# Every pair of first bytes there is, for both roles, with and without compression; no randomness needed.


@pytest.mark.parametrize("client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize(
    "deflate, inside",
    [(None, ""), (None, "plain"), (Deflate(), ""), (Deflate(), "plain"), (Deflate(), "compressed")],
    ids=["alone", "in a message", "deflate, alone", "deflate, in a message", "deflate, in a compressed message"],
)
def test_inbound_every_first_two_bytes(client, deflate, inside):
    setup = Setup(client, deflate)
    key = None if client else b"\x01\x02\x03\x04"
    rsv = RSV1 if inside == "compressed" else 0
    before = frame(TEXT, deflated(b"start") if rsv else b"start", fin=False, rsv=rsv, key=key) if inside else b""
    rest = bytes(4) + deflated(b"rest") + b"\x00" * 130
    behind = frame(CONTINUATION, b"\x00" if rsv else b"", key=key) + frame(PING, b"p", key=key)
    for first in range(256):
        for second in (0, 1, 2, 125, 126, 127):
            for mask_bit in (0, 0x80):
                size = second if second < 126 else 130
                length = b"" if second < 126 else size.to_bytes(2 if second == 126 else 8, "big")
                payload = rest[: size + (4 if mask_bit else 0)]
                chunks = [before + bytes((first, second | mask_bit)) + length, payload, behind]
                compare(setup, [chunk for chunk in chunks if chunk])


@pytest.mark.parametrize("reason", [b"", b"why", b"\xff"], ids=["no reason", "reason", "no UTF-8"])
def test_inbound_every_close_code(reason):
    for code in [*range(5100), 0x7FFF, 0x8000, 0xFFFF]:
        compare(Setup(True), [frame(CLOSE, code.to_bytes(2, "big") + reason)])


# However it arrives


@given(st.data())
def test_the_same_events_whatever_the_segments(data):
    """Every split in two of a short stream, and one byte at a time, against the whole."""
    setup = data.draw(setups)
    stream = data.draw(any_stream(setup))[:400] or b"\x81"
    whole = Ours(setup)
    answers = whole.feed(stream)
    splits = [[stream[:cut], stream[cut:]] for cut in range(1, len(stream))]
    splits.append([stream[i : i + 1] for i in range(len(stream))])
    for chunks in splits:
        parts = Ours(setup)
        said = b"".join(parts.feed(chunk) for chunk in chunks)
        assert (parts.messages, parts.pongs, parts.end) == (whole.messages, whole.pongs, whole.end)
        if whole.end is None or whole.end[0] == "closed":
            assert parse(said, setup.client) == parse(answers, setup.client)
        else:
            assert without_reason(parse(said, setup.client)) == without_reason(parse(answers, setup.client))


@given(st.data(), st.integers(0, 700))
def test_the_same_events_whatever_the_segments_with_a_limit(data, limit):
    setup = data.draw(plain_setups)
    stream = data.draw(any_stream(setup)) or b"\x81"
    whole, parts, free = Ours(setup, limit), Ours(setup, limit), Ours(setup)
    whole.feed(stream)
    free.feed(stream)
    for chunk in data.draw(arrivals(stream)):
        parts.feed(chunk)
    assert (parts.messages, parts.pongs, parts.end) == (whole.messages, whole.pongs, whole.end)
    # The limit takes away what is too big and what comes behind it, and nothing else.
    assert whole.messages == free.messages[: len(whole.messages)]
    assert all(len(said.encode() if isinstance(said, str) else said) <= limit for said in whole.messages)
    if whole.end != ("failed", 1009):
        assert (whole.messages, whole.end) == (free.messages, free.end)


# Outbound

closing = st.none() | st.tuples(
    st.sampled_from([1000, 1001, 1005, 1006, 1013, 1015, 3000, 4999]), st.text(max_size=5) | st.text("aé€\U0001f600", min_size=30)
)


@given(setup=setups, sent=st.lists(messages | st.tuples(control_payloads), max_size=8), close=closing)
def test_outbound_byte_for_byte(setup, sent, close):
    """The same calls give the same frames; of a server, whose frames have no random key, the same bytes."""
    ours, theirs = setup.ours(), setup.wsproto()
    for what in sent:
        if isinstance(what, tuple):
            said, expected = ours.ping(what[0], 0.0), theirs.send(Ping(what[0]))
        elif isinstance(what, str):
            said, expected = ours.send(what), theirs.send(TextMessage(what))
        else:
            said, expected = ours.send(what), theirs.send(BytesMessage(what))
        same(joined(said), bytes(expected), setup.client)
    if close is not None:
        code, reason = close
        # wsproto refuses a reason without a code; we leave it out.
        expected = theirs.send(CloseConnection(CloseReason(code) if code < 3000 else code, None if code == 1005 else reason))
        same(joined(ours.close(code, reason)), bytes(expected), setup.client)


def same(said: bytes, expected: bytes, masked: bool) -> None:
    assert parse(said, masked) == parse(expected, masked)
    if not masked:
        assert said == expected


@given(setup=setups, sent=st.lists(messages, max_size=8), close=closing)
def test_wsproto_understands_what_we_send(setup, sent, close):
    ours, theirs = setup.ours(), Theirs(setup.peer)
    for message in sent:
        theirs.feed(joined(ours.send(message) if isinstance(message, str) else ours.send(message)))
    assert theirs.messages == sent and theirs.end is None
    answer = theirs.feed(joined(ours.ping(b"are you there", 0.0)))
    ours.receive_data(answer)
    assert ours.next_event() == Pong(b"are you there")
    if close is not None:
        code, reason = close
        ours.begin_close(code, reason, 0.0)
        answer = theirs.feed(joined(ours.close(code, reason)))
        told = 1000 if code in (1006, 1015) else code
        assert theirs.end is not None and theirs.end[:2] == ("closed", told)
        assert reason.startswith(theirs.end[2] or "")
        ours.receive_data(answer)
        assert ours.next_event() is None
        assert ours.close_received == (told, "") and ours.state is State.CLOSED


@given(st.data())
def test_we_understand_what_wsproto_sends(data):
    setup = data.draw(setups)
    sender, ours = setup.peer.wsproto(), Ours(setup)
    sent = []
    out = b""
    for parts in data.draw(st.lists(st.lists(st.binary(max_size=60), min_size=1, max_size=4) | messages, max_size=6)):
        if isinstance(parts, str):
            out += sender.send(TextMessage(parts))
            sent.append(parts)
            continue
        pieces = [parts] if isinstance(parts, bytes) else parts
        for piece in pieces[:-1]:
            out += sender.send(BytesMessage(piece, message_finished=False))
            if data.draw(st.booleans()):
                out += sender.send(Ping(b"between"))
        out += sender.send(BytesMessage(pieces[-1]))
        sent.append(b"".join(pieces))
    for chunk in data.draw(arrivals(bytes(out))):
        ours.feed(chunk)
    assert ours.messages == sent and ours.end is None
