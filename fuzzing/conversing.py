"""`Protocol` under any stream of bytes: the same events however it arrives, and the rules that always hold.

What is wrong is an AssertionError; any other exception is wrong by itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from simple_websocket.errors import ConnectionClosed
from simple_websocket.protocol.connection import Frame, Pong, Protocol, State
from tests.support.wire import CLOSE, FrameReader
from tests.support.wire import Frame as Seen

# Streams of at most so many bytes are split at every boundary; longer ones at random.
_SPLIT_EVERYWHERE = 24
_BYTEWISE = 250
_MOST_CHUNKS = 60

# Pings that are answered of those that came in one segment (section 5.5.3).
_MOST_ANSWERS = 64


class Outcome(NamedTuple):
    """What came of a stream."""

    messages: tuple[str | bytes, ...]
    pongs: tuple[bytes, ...]
    answers: tuple[tuple[int, bytes], ...]  # what was answered, the Close frame with its code alone
    end: tuple[object, ...] | None  # ("closed", code, reason) or ("failed", code)

    def __str__(self) -> str:
        return "open" if self.end is None else f"{self.end[0]} {self.end[1]}"


def converse(make: Callable[[], Protocol], client: bool, limit: int | None, stream: bytes, seed: int) -> Outcome:
    """Feed the stream whole and in pieces; return what came of it.

    :param make: makes the protocol, afresh for each chunking.
    :param client: whether it is the client.
    :param limit: its message limit.
    :param seed: of a random chunking.
    """
    whole = _run(make(), client, limit, [stream])
    chance = random.Random(seed)
    for chunks in _chunkings(stream, seed):
        parts = _run(make(), client, limit, chunks, chance)
        assert _comparable(parts, limit) == _comparable(whole, limit), (
            f"{len(chunks)} chunks of {[len(chunk) for chunk in chunks][:20]}: {parts}, in one: {whole}"
        )
    return whole


def _comparable(outcome: Outcome, limit: int | None) -> object:
    """The part of an outcome that may not depend on the chunking.

    A compressed message that is both too big and wrong inside ends the connection with whichever is noticed first.
    Of many pings in one segment the latest are answered, so that a flood is answered in more or fewer pongs.
    """
    end = outcome.end
    answers = [answer for answer in outcome.answers if answer[0] == CLOSE]
    if limit is not None and end in (("failed", 1007), ("failed", 1009)):
        end, answers = ("failed", "1007 or 1009"), []
    pongs = [payload for opcode, payload in outcome.answers if opcode != CLOSE]
    return outcome.messages, outcome.pongs, end, answers, pongs[-_MOST_ANSWERS:]


def _chunkings(stream: bytes, seed: int) -> Iterator[list[bytes]]:
    size = len(stream)
    if size <= _SPLIT_EVERYWHERE:
        for cut in range(1, size):
            yield [stream[:cut], stream[cut:]]
    if size <= _BYTEWISE:
        yield [stream[i : i + 1] for i in range(size)]
    chance = random.Random(seed)
    for most in (16, 600):
        most = max(most, size // _MOST_CHUNKS)
        chunks, start = [], 0
        while start < size:
            end = start + chance.randint(1, most)
            chunks.append(stream[start:end])
            start = end
        yield chunks


def _run(
    protocol: Protocol, client: bool, limit: int | None, chunks: list[bytes], chance: random.Random | None = None
) -> Outcome:
    messages: list[str | bytes] = []
    pongs: list[bytes] = []
    reader, said = FrameReader(masked=client), list[Seen]()
    for chunk in filter(None, chunks):
        over = protocol.close_status is not None
        # Both ways to take what arrives, mixed.
        message = protocol.receive_message(memoryview(chunk), len(chunk)) if chance and chance.random() < 0.5 else None
        if message is not None:
            assert not over, "a message behind the end"
            messages.append(message)
            continue
        protocol.receive_data(chunk)
        while (event := protocol.next_event()) is not None:
            assert not over, "an event behind the end"
            if isinstance(event, Pong):
                pongs.append(event.payload)
                protocol.pong_received(event, 1.0)
            else:
                messages.append(event)
                size = len(event.encode() if isinstance(event, str) else event)
                assert limit is None or size <= limit, f"a message of {size} bytes with a limit of {limit}"
        assert protocol.next_event() is None
        out = protocol.data_to_send()
        assert not protocol.pending and protocol.data_to_send() == b""
        said += _frames(reader, out)
        assert not over or not out, "an answer behind the end"
        assert protocol.decoder.expected < 2**63
    end = _end_of(protocol)
    closes = [frame for frame in said if frame.opcode == CLOSE]
    assert len(closes) == (end is not None) and (end is None or said[-1].opcode == CLOSE)
    if end is not None and end[0] == "failed":
        assert closes[0].code == end[1]
        closes[0].payload[2:].decode()
    _afterwards(protocol, reader)
    answers = tuple((frame.opcode, frame.payload[:2] if frame.opcode == CLOSE else frame.payload) for frame in said)
    return Outcome(tuple(messages), tuple(pongs), answers, end)


def _end_of(protocol: Protocol) -> tuple[object, ...] | None:
    if protocol.failure is not None:
        assert protocol.close_received is None
        assert protocol.failure[0] in (1002, 1007, 1009) and not protocol.open
        return ("failed", int(protocol.failure[0]))
    if protocol.close_received is not None:
        assert not protocol.open and protocol.state is State.CLOSED
        return ("closed", int(protocol.close_received[0]), protocol.close_received[1])
    assert protocol.open and protocol.state is State.OPEN
    return None


def _frames(reader: FrameReader, out: Frame) -> list[Seen]:
    """The frames that were said: whole ones, of the right form."""
    reader.feed(out if isinstance(out, bytes) else b"".join(out))
    found = []
    while (frame := reader.next()) is not None:
        found.append(frame)
    assert not reader.rest, "half a frame was said"
    return found


def _afterwards(protocol: Protocol, reader: FrameReader) -> None:
    """Use the connection as its owner may, whatever has happened to it, and end it."""
    if protocol.open:
        for frame in (protocol.send("text \u2603"), protocol.send(b"\xff" * 200), protocol.ping(b"p", 1.0)):
            assert len(_frames(reader, frame)) == 1
        assert protocol.begin_close(4000, "bye", 1.0) > 1.0
        assert protocol.state is State.CLOSING
        assert [frame.code for frame in _frames(reader, protocol.close(4000, "bye"))] == [4000]
    assert protocol.close(4001, "") == b"", "a second Close frame"
    for call in (lambda: protocol.send("x"), lambda: protocol.send(b"x"), lambda: protocol.ping(b"", 1.0)):
        try:
            call()
        except ConnectionClosed:
            continue
        raise AssertionError("sent on a connection that is closing")
    deadline = protocol.start_close_timer(1.0)
    protocol.on_deadline(deadline, protocol.heard)
    assert protocol.state is State.CLOSED
    protocol.receive_data(b"")
    assert protocol.data_to_send() == b"" and protocol.close_status is not None
