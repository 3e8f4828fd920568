"""The fuzz targets of fuzzing/ under hypothesis, and that they see what is wrong.

HYPOTHESIS_PROFILE=long tries thirty times as many inputs, other ones on each run; `make fuzz` goes by coverage and by time.
"""

from __future__ import annotations

import os
import random
import tracemalloc

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fuzzing.conversing import converse
from fuzzing.mutation import fuzz, mutated
from fuzzing.seeds import seeds
from fuzzing.targets import PREFIX, TARGETS
from simple_websocket.errors import ProtocolViolation
from simple_websocket.protocol import frames, messages
from simple_websocket.protocol.connection import Protocol
from simple_websocket.protocol.deflate import Inflater

from .streams import Deflate, Setup
from .wire import BINARY, CONTINUATION, KEY, PING, RSV1, TAIL, TEXT, deflated, frame, header, server_deflate

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
if LONG:
    pytestmark = pytest.mark.limit(7200)
every_target = pytest.mark.parametrize("target", TARGETS)
# One input is one to forty conversations.
some = settings(max_examples=max(1, settings().max_examples // 6))


@every_target
def test_the_seeds_are_valid_conversations(target):
    outcomes = {TARGETS[target](data) for data in seeds(target)}
    assert len(outcomes) > 1
    assert not [outcome for outcome in outcomes if "failed" in outcome or outcome == "400"]


@every_target
@some
@given(data=st.data())
def test_mutated_seeds(target, data):
    first, second = data.draw(st.sampled_from(seeds(target))), data.draw(st.sampled_from(seeds(target)))
    event(TARGETS[target](mutated(random.Random(data.draw(st.integers(0, 2**32))), first, second)))


@every_target
@some
@given(data=st.binary(max_size=200))
def test_any_bytes(target, data):
    event(TARGETS[target](data))


@every_target
def test_the_driver_without_coverage(target):
    """As `make fuzz` runs it where there is no atheris."""
    tried = []
    assert fuzz(TARGETS[target], seeds(target)[:5], 0.1, 1, tried.append) == len(tried) > 0


# Split at every boundary, in two and in three


@pytest.mark.parametrize("client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("deflate", [None, Deflate()], ids=["plain", "deflate"])
def test_a_conversation_split_at_every_pair_of_boundaries(client, deflate):
    setup = Setup(client, deflate)
    key = None if client else KEY
    rsv = RSV1 if deflate else 0
    payload = deflated("\u2603 snow".encode()) if deflate else "\u2603 snow".encode()
    stream = b"".join(
        [
            frame(TEXT, payload[:3], fin=False, rsv=rsv, key=key),
            frame(PING, b"p", key=key),
            frame(CONTINUATION, payload[3:], key=key),
            frame(BINARY, b"\xff" * 130, key=key),
            frame(8, b"\x03\xe8", key=key),
        ]
    )
    whole = None
    for first in range(len(stream)):
        for second in range(first, len(stream), 3):
            protocol, said, events = setup.ours(200), b"", []
            for chunk in filter(None, (stream[:first], stream[first:second], stream[second:])):
                protocol.receive_data(chunk)
                while (found := protocol.next_event()) is not None:
                    events.append(found)
                out = protocol.data_to_send()
                said += out if not client else b""  # a client's answers have random keys
            whole = whole or (events, said, protocol.close_received)
            assert (events, said, protocol.close_received) == whole
    assert whole is not None and whole[0] == ["\u2603 snow", b"\xff" * 130] and whole[2] == (1000, "")


# Memory

SMALL = 64 * 1024
FLOODS = {
    "pings": frame(PING, b"x" * 125, key=KEY) * 100,
    "lying length": header(BINARY, 2**62, key=KEY),
    "fragments without end": frame(CONTINUATION, b"", fin=False, key=KEY) * 1000,
    "compressed fragments of nothing": frame(CONTINUATION, b"\0" + TAIL, fin=False, key=KEY) * 200,
    "tiny fragments": frame(CONTINUATION, b"x", fin=False, key=KEY) * 1000,
}


@pytest.mark.parametrize("name", FLOODS)
def test_memory_under_a_flood(name):
    """A megabyte and more of it, and nobody takes what there is to answer."""
    limit = 1000
    protocol = Protocol(False, server_deflate() if "compressed" in name else None, limit, 5.0, None)
    protocol.receive_data(frame(BINARY, b"", fin=False, rsv=RSV1 if "compressed" in name else 0, key=KEY))
    assert protocol.next_event() is None
    if name == "lying length":
        protocol = Protocol(False, None, None, 5.0, None)  # the limit would refuse it
        protocol.receive_data(FLOODS[name])
        assert protocol.next_event() is None
    tracemalloc.start()
    try:
        for _ in range(30 if name == "lying length" else 100):
            protocol.receive_data(b"y" * 4096 if name == "lying length" else FLOODS[name])
            assert protocol.next_event() is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Of a message without a limit, what has arrived is kept.
    assert peak < 30 * 4096 * 2 + SMALL if name == "lying length" else peak < SMALL + 4 * len(FLOODS[name])


@pytest.mark.parametrize("pieces", [1, 100])
def test_memory_under_a_bomb(pieces):
    bomb = deflated(bytes(16 << 20), level=9)
    limit = 50_000
    protocol = Protocol(False, server_deflate(), limit, 5.0, None)
    stream = frame(BINARY, bomb, rsv=RSV1, key=KEY)
    step = len(stream) // pieces + 1
    tracemalloc.start()
    try:
        for start in range(0, len(stream), step):
            protocol.receive_data(stream[start : start + step])
            assert protocol.next_event() is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert protocol.failure is not None and protocol.failure[0] == 1009
    assert peak < 4 * limit + 4 * len(bomb) + SMALL


def test_a_limit_holds_however_fragments_of_nothing_arrive():
    """Compressed fragments that inflate to nothing count by what they take on the wire."""
    setup = Setup(False, Deflate())
    stream = frame(TEXT, b"", fin=False, rsv=RSV1, key=KEY) + frame(CONTINUATION, (b"\0" + TAIL) * 20, fin=False, key=KEY) * 30
    assert converse(lambda: setup.ours(10), False, 10, stream, 1).end == ("failed", 1009)


# What the targets see: faults planted into the core


def planted_unrotated_key(monkeypatch):
    """A masking key that begins anew with each segment."""
    original = frames.FrameDecoder._next_of_payload

    def broken(self):
        key = self._key
        piece = original(self)
        self._key = key
        return piece

    monkeypatch.setattr(frames.FrameDecoder, "_next_of_payload", broken)


def planted_no_limit(monkeypatch):
    monkeypatch.setattr(messages.MessageAssembler, "announce", lambda *_: None)
    monkeypatch.setattr(messages.MessageAssembler, "_too_big", lambda self: ProtocolViolation(1000, ""))


def planted_index_error(monkeypatch):
    """Of a header's extended length, one byte is taken for enough."""
    original = frames.FrameDecoder._next_of_header

    def broken(self):
        if len(self._data) - self._pos == 3 and self._data[self._pos + 1] & 0x7F == 126:
            raise IndexError("index out of range")
        return original(self)

    monkeypatch.setattr(frames.FrameDecoder, "_next_of_header", broken)


def planted_half_inflated(monkeypatch):
    """What comes behind a block with BFINAL is lost when it comes in the same segment."""
    original = Inflater.inflate

    def broken(self, data, last, room):
        out = original(self, data, last, room)
        return out[:5] if len(data) > 12 else out

    monkeypatch.setattr(Inflater, "inflate", broken)


@pytest.mark.parametrize("plant", [planted_unrotated_key, planted_no_limit, planted_index_error, planted_half_inflated])
def test_planted_faults_are_seen(monkeypatch, plant):
    plant(monkeypatch)
    with pytest.raises((AssertionError, IndexError)):
        for target in ("frames-server", "built-server", "built-client", "oracle"):
            chance, pool = random.Random(1), seeds(target)
            for data in pool:
                TARGETS[target](data)
            for _ in range(200):
                TARGETS[target](mutated(chance, chance.choice(pool), chance.choice(pool)))


def test_the_prefix_says_how_a_stream_is_fed():
    stream = frame(TEXT, b"x" * 11, key=KEY)
    assert TARGETS["frames-server"](bytes(PREFIX) + stream) == "open"
    assert TARGETS["frames-server"](b"\0\2\0\0" + stream) == "failed 1009"
    assert TARGETS["frames-client"](bytes(PREFIX) + stream) == "failed 1002"
