"""deflate.py: permessage-deflate, RFC 7692 sections 6 and 7.2.  Its negotiation is in test_negotiation.py."""

import os
import tracemalloc
import zlib

import pytest

from simple_websocket.errors import ProtocolViolation
from simple_websocket.protocol.deflate import Compression, Deflater, Inflater

from .wire import (
    BINARY,
    CONTINUATION,
    KEY,
    PING,
    RSV1,
    TAIL,
    TEXT,
    Pong,
    Seen,
    client,
    client_deflate,
    deflated,
    events_of,
    f,
    frame,
    inflated,
    joined,
    parse,
    server,
    server_deflate,
)

LAYERED = Compression(server_max_window_bits=15, client_max_window_bits=15, memory_level=8, threshold=0)


def sent(protocol, message):
    """The frame that carries a message, as it goes out."""
    out = protocol.send(message) if isinstance(message, str) else protocol.send(message)
    [seen] = parse(joined(out), protocol._client)
    return seen


# Section 7.2.3, the examples: payloads of messages that say "Hello"

HELLO = {
    "7.2.3.1 one block": "f248cdc9c90700",
    "7.2.3.3 block without compression": "000500faff48656c6c6f00",
    "7.2.3.4 block with BFINAL set": "f348cdc9c9070000",
    "7.2.3.5 two blocks": "f248050000 00ffffcac9c90700",
}


@pytest.mark.parametrize("hexed", HELLO.values(), ids=HELLO)
@pytest.mark.parametrize("limit", [None, 5])
def test_7_2_3_examples(hexed, limit):
    payload = bytes.fromhex(hexed)
    assert events_of(server(limit, server_deflate()), f(TEXT, payload, rsv=RSV1)) == ["Hello"]
    assert events_of(client(limit, client_deflate()), frame(TEXT, payload, rsv=RSV1)) == ["Hello"]
    # In two fragments and in segments of one byte.
    for cut in range(len(payload) + 1):
        stream = f(TEXT, payload[:cut], fin=False, rsv=RSV1) + f(CONTINUATION, payload[cut:])
        assert events_of(server(limit, server_deflate()), stream) == ["Hello"]
        assert events_of(server(limit, server_deflate()), *(bytes([byte]) for byte in stream)) == ["Hello"]


def test_7_2_3_1_fragments():
    stream = bytes.fromhex("4103f248cd") + bytes.fromhex("8004c9c90700")
    assert events_of(client(deflate=client_deflate()), stream) == ["Hello"]


def test_7_2_3_2_sharing_the_window():
    stream = bytes.fromhex("c107f248cdc9c90700") + bytes.fromhex("c105f200110000")
    assert events_of(client(deflate=client_deflate()), stream) == ["Hello", "Hello"]
    assert [sent_.payload.hex() for sent_ in map(_sender(LAYERED), ["Hello", "Hello"])] == ["f248cdc9c90700", "f200110000"]


def _sender(compression, offer="client_max_window_bits"):
    protocol = server(deflate=server_deflate(compression, offer))
    return lambda message: sent(protocol, message)


def test_7_2_3_4_messages_go_on_after_a_block_with_bfinal():
    protocol = server(deflate=server_deflate())
    final = f(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=RSV1)
    plain = f(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=RSV1)
    assert events_of(protocol, final + plain + final, final) == ["Hello"] * 4


def test_7_2_3_4_blocks_with_bfinal_inside_a_message():
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    part = compressor.compress(b"Hello") + compressor.flush(zlib.Z_FINISH)
    assert events_of(server(deflate=server_deflate()), f(TEXT, part * 3 + b"\x00", rsv=RSV1)) == ["HelloHelloHello"]


def test_7_2_3_4_the_limit_holds_behind_a_block_with_bfinal():
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    part = compressor.compress(b"Hello") + compressor.flush(zlib.Z_FINISH)
    for limit, fine in [(15, True), (14, False), (5, False), (4, False)]:
        protocol = server(limit, server_deflate())
        assert events_of(protocol, f(TEXT, part * 3 + b"\x00", rsv=RSV1)) == (["HelloHelloHello"] if fine else [])
        assert protocol.failure is None if fine else protocol.failure[0] == 1009


def test_7_2_3_6_empty_messages():
    protocol = server(deflate=server_deflate())
    assert events_of(protocol, f(TEXT, b"\x00", rsv=RSV1) * 3 + f(BINARY, b"\x00", rsv=RSV1)) == ["", "", "", b""]
    assert events_of(protocol, f(TEXT, b"\x02\x00", rsv=RSV1) + f(TEXT, deflated(b"go on"), rsv=RSV1)) == ["", "go on"]
    stream = f(TEXT, b"", fin=False, rsv=RSV1) + f(CONTINUATION, b"", fin=False) + f(CONTINUATION, b"\x00")
    assert events_of(protocol, stream) == [""]


# Section 6, what is sent


@pytest.mark.parametrize("compression", [LAYERED, Compression(level=0, threshold=0), Compression(level=9, memory_level=1)])
@pytest.mark.parametrize("afresh", [False, True])
def test_6_1_what_is_sent_inflates_to_the_message(compression, afresh):
    messages = ["Hello" * 20, "", "€" * 100, b"", b"", b"\xff" * 300, os.urandom(70_000), "last " * 20]
    here = _sender(compression, "server_no_context_takeover" if afresh else "client_max_window_bits")
    window = zlib.decompressobj(-15)
    for message in messages:
        seen = here(message)
        data = message.encode() if isinstance(message, str) else message
        assert (seen.opcode, seen.fin) == (TEXT if isinstance(message, str) else BINARY, True)
        assert seen.rsv == (RSV1 if len(data) >= compression.threshold else 0)
        if not seen.rsv:
            assert seen.payload == data
            continue
        assert seen.payload, "an empty payload is no deflate stream (section 7.2.3.6)"
        assert not seen.payload.endswith(TAIL)
        assert window.decompress(seen.payload + TAIL) == data
        if afresh:
            window = zlib.decompressobj(-15)


def test_threshold():
    here = _sender(Compression(threshold=10))
    assert here("123456789") == Seen(TEXT, b"123456789")
    assert here("1234567890").rsv == RSV1
    assert here("€€€").rsv == 0, "nine bytes"
    assert here(b"1234567890").rsv == RSV1


def test_default_threshold_leaves_short_messages_alone():
    here = _sender(Compression())
    assert here("a" * 63).rsv == 0
    assert here("a" * 64).rsv == RSV1


def test_control_frames_are_never_compressed():
    protocol = server(deflate=server_deflate(LAYERED))
    assert parse(joined(protocol.ping(b"p" * 100, 0.0)), False) == [Seen(PING, b"p" * 100)]
    protocol.receive_data(f(PING, b"q" * 100))
    protocol.next_event()
    assert [seen.rsv for seen in parse(protocol.data_to_send(), False)] == [0]
    assert [seen.rsv for seen in parse(joined(protocol.close(1000, "r" * 100)), False)] == [0]


# Section 7.1.1, context takeover


@pytest.mark.parametrize("role", ["server", "client"])
def test_7_1_1_no_context_takeover_of_this_side(role):
    if role == "server":
        protocol = server(deflate=server_deflate(LAYERED, "server_no_context_takeover"))
    else:
        protocol = client(deflate=client_deflate(LAYERED, "client_no_context_takeover; server_max_window_bits=15"))
    first, second = sent(protocol, "Hello" * 10), sent(protocol, "Hello" * 10)
    assert first.payload == second.payload
    assert inflated(second.payload) == b"Hello" * 10


@pytest.mark.parametrize("role", ["server", "client"])
def test_7_1_1_no_context_takeover_of_the_peer(role):
    if role == "server":
        protocol, key = server(deflate=server_deflate(LAYERED, "client_no_context_takeover")), KEY
    else:
        protocol, key = client(deflate=client_deflate(answer="server_no_context_takeover")), None
    fresh = frame(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=RSV1, key=key)
    assert events_of(protocol, fresh + fresh) == ["Hello", "Hello"]
    # A reference into the message before is now one into nothing.
    events_of(protocol, frame(TEXT, bytes.fromhex("f200110000"), rsv=RSV1, key=key))
    assert protocol.failure is not None and protocol.failure[0] == 1007


def test_7_1_1_each_direction_on_its_own():
    protocol = server(deflate=server_deflate(LAYERED, "server_no_context_takeover"))
    shared = f(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=RSV1) + f(TEXT, bytes.fromhex("f200110000"), rsv=RSV1)
    assert events_of(protocol, shared) == ["Hello", "Hello"]
    assert sent(protocol, "Hello").payload == sent(protocol, "Hello").payload


def test_7_1_1_context_is_kept_across_uncompressed_messages():
    protocol = server(deflate=server_deflate(LAYERED))
    stream = f(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=RSV1) + f(TEXT, b"between") + f(BINARY, b"Hello", fin=False)
    stream += f(CONTINUATION) + f(TEXT, bytes.fromhex("f200110000"), rsv=RSV1)
    assert events_of(protocol, stream) == ["Hello", "between", b"Hello", "Hello"]


# Section 6.2, what arrives


def test_6_2_control_frames_inside_a_compressed_fragmented_message():
    payload = deflated(b"Hello, " * 50)
    parts = [payload[i : i + 3] for i in range(0, len(payload), 3)]
    stream = f(TEXT, parts[0], fin=False, rsv=RSV1)
    for part in parts[1:]:
        stream += f(PING, b"1") + f(10, b"2") + f(CONTINUATION, part, fin=False)
    stream += f(PING) + f(CONTINUATION)
    protocol = server(deflate=server_deflate())
    assert events_of(protocol, stream) == [Pong(b"2")] * (len(parts) - 1) + ["Hello, " * 50]
    assert events_of(server(deflate=server_deflate()), *(bytes([byte]) for byte in stream))[-1] == "Hello, " * 50


@pytest.mark.parametrize("opcode, fin", [(CONTINUATION, True), (CONTINUATION, False)])
def test_6_1_rsv1_on_a_continuation(opcode, fin):
    protocol = server(deflate=server_deflate())
    events_of(protocol, f(TEXT, deflated(b"abc"), fin=False, rsv=RSV1) + f(opcode, b"x", fin=fin, rsv=RSV1))
    assert protocol.failure is not None and protocol.failure[0] == 1002


@pytest.mark.parametrize("bad", ["ff", "07", "0000000000"])
def test_invalid_compressed_data(bad):
    protocol = server(deflate=server_deflate())
    assert events_of(protocol, f(BINARY, bytes.fromhex(bad), rsv=RSV1)) == []
    assert protocol.failure is not None and protocol.failure[0] == 1007
    protocol = server(deflate=server_deflate())
    assert events_of(protocol, f(BINARY, bytes.fromhex(bad), rsv=RSV1, fin=False) + f(CONTINUATION)) == []
    assert protocol.failure is not None and protocol.failure[0] == 1007


@pytest.mark.parametrize("memory_level", [1, 5, 9])
@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize("size", [0, 100, 20_000, 1_000_000, 4_000_000])
def test_a_message_of_exactly_the_limit_passes_even_if_compression_makes_it_longer(size, level, memory_level):
    """Random bytes do not shrink: zlib stores them in blocks, each with a header, and small memory levels have small blocks."""
    here = Compression(level=level, memory_level=memory_level, threshold=0)
    data = os.urandom(size)
    out = joined(client(deflate=client_deflate(here)).send(data))
    receiver = server(size, server_deflate())
    assert events_of(receiver, out) == [data], receiver.failure


def test_inflation_stops_one_byte_behind_the_room():
    data = deflated(bytes(1_000_000))
    for room in (0, 1, 100, 65536):
        assert len(Inflater(15, False).inflate(data, True, room)) == room + 1
    assert len(Inflater(15, False).inflate(data, True, -5)) == 1
    assert len(Inflater(15, False).inflate(data, True, 1_000_000)) == 1_000_000
    assert len(Inflater(15, False).inflate(data, True, None)) == 1_000_000


def test_inflation_says_what_is_wrong():
    with pytest.raises(ProtocolViolation, match="invalid compressed data") as caught:
        Inflater(15, False).inflate(b"\xff", True, None)
    assert caught.value.code == 1007


@pytest.mark.parametrize("bits", [8, 9, 10, 11, 12, 13, 14, 15])
def test_every_window_round_trips(bits):
    """Distances up to the window's size: no inflater may have a smaller window than was agreed."""
    block = os.urandom((1 << bits) * 3 // 4)
    data = block + block[: len(block) // 2] + block
    if bits > 8:
        out = Deflater(Compression(), bits, bits, False).deflate(data)
        assert Inflater(bits, False).inflate(out, True, None) == data
    assert Inflater(bits, False).inflate(deflated(data, max(bits, 9)), True, None) == data


def test_memory_is_taken_at_the_first_compressed_message():
    tracemalloc.start()
    try:
        protocols = [server(1000, server_deflate()) for _ in range(100)]
        for protocol in protocols:
            assert events_of(protocol, f(TEXT, b"plain")) == ["plain"]
            protocol.send("plain")
        # zlib's own memory is not traced, but its Python objects are; so look at those, too.
        assert tracemalloc.get_traced_memory()[0] / len(protocols) < 8_000
    finally:
        tracemalloc.stop()
    assert all(protocol._assembler._inflater._zlib is None and protocol._deflater._zlib is None for protocol in protocols)


# Compression


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": -1},
        {"level": 10},
        {"memory_level": 0},
        {"memory_level": 10},
        {"server_max_window_bits": 8},
        {"server_max_window_bits": 16},
        {"client_max_window_bits": 8},
        {"client_max_window_bits": 16},
        {"threshold": -1},
    ],
)
def test_values_out_of_range(wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(ValueError, match=str(value)):
        Compression(**wrong)


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("memory_level", range(1, 10))
def test_every_level_works(level, memory_level):
    data = b"Hello, compressed world. " * 100
    deflater = Deflater(Compression(level=level, memory_level=memory_level), 12, 12, False)
    inflater = Inflater(12, False)
    for _ in range(2):
        assert inflater.inflate(deflater.deflate(data), True, len(data)) == data


@pytest.mark.parametrize("agreed", range(9, 16))
@pytest.mark.parametrize("wanted", [None, 9, 12, 15])
@pytest.mark.parametrize("afresh", [False, True])
def test_small_and_large_messages_in_turn(agreed, wanted, afresh):
    """A large one may be deflated by itself, and those behind it do not refer to what was before it."""
    deflater = Deflater(Compression(), wanted, agreed, afresh)
    inflater = Inflater(agreed, afresh)
    # What repeats at every distance, and nothing but that.
    large = os.urandom(1 << 15) + os.urandom((1 << 14) - 1)
    large += large
    small = large[:1000]
    for message in (small, small, large, small, small, large, large, small):
        out = deflater.deflate(message)
        assert inflater.inflate(out, True, None) == message
    assert deflater.settings(1000)[1] <= min(agreed, wanted or 12) and deflater.settings(1 << 15)[1] <= agreed


def test_a_large_message_leaves_no_memory_behind():
    deflater = Deflater(Compression(), None, 15, False)
    deflater.deflate(b"small")
    assert deflater._zlib is not None
    large = bytes(1 << 15)
    assert len(deflater.deflate(large)) < 1000 and deflater._zlib is None
    # A window that was asked for is kept, and so is what is in it.
    deflater = Deflater(Compression(), 15, 15, False)
    deflater.deflate(b"small")
    kept = deflater._zlib
    deflater.deflate(large)
    assert deflater._zlib is kept


def test_many_final_blocks_in_one_message_are_refused():
    """Each takes an inflater of its own to read, for two bytes."""
    inflater = Inflater(15, False)
    assert inflater.inflate(b"\x03\x00" * 10 + b"\x00", True, 100) == b""
    with pytest.raises(ProtocolViolation) as error:
        inflater.inflate(b"\x03\x00" * 10_000 + b"\x00", True, 100)
    assert error.value.code == 1007
