"""permessage-deflate through real sockets: negotiation, thresholds, windows, bombs."""

import os
import zlib

import pytest

from simple_websocket import Compression, ConnectionClosed
from tests.cases.marks import both_sides
from tests.support.wire import BINARY, CONTINUATION, TEXT

MESSAGES = ["", "short", "x" * 63, "x" * 64, "words and words and words " * 500, b"", b"\x00" * 100_000, os.urandom(5000), "end"]


def exchange(one, other):
    for message in MESSAGES:
        one.send(message)
        assert other.receive(10) == message
        other.send(message)
        assert one.receive(10) == message


def windows(server, client):
    return {"server_max_window_bits": server, "client_max_window_bits": client}


@pytest.mark.parametrize("client, server", [(True, True), (True, False), (False, True), (False, False)])
def test_on_and_off(world, client, server):
    ours, theirs = world.pair(client={"compression": client}, server={"compression": server})
    exchange(ours, theirs)


@pytest.mark.parametrize(
    "client, server",
    [
        ({"level": 0}, {"level": 9}),
        ({"level": 1, "memory_level": 1}, {"memory_level": 9}),
        ({"threshold": 0}, {"threshold": 10**9}),
        ({"server_no_context_takeover": True}, {}),
        ({}, {"server_no_context_takeover": True}),
        ({"client_no_context_takeover": True}, {}),
        ({}, {"client_no_context_takeover": True}),
        ({"server_max_window_bits": 9}, {}),
        ({"client_max_window_bits": 9}, {}),
        ({}, windows(9, 9)),
        (windows(15, 15), windows(15, 15)),
        (windows(11, 10), windows(9, 13)),
    ],
)
def test_every_parameter_between_the_two_of_ours(world, client, server):
    ours, theirs = world.pair(client={"compression": Compression(**client)}, server={"compression": Compression(**server)})
    exchange(ours, theirs)


def inflate(data):
    return zlib.decompressobj(-15).decompress(data + b"\x00\x00\xff\xff")


def deflated(data):
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


EXTENSION = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@both_sides
def test_what_is_on_the_wire(world, side):
    ws, peer = world.open(side, headers=(EXTENSION,), compression=Compression(threshold=100))
    ws.send("x" * 99)
    ws.send("y" * 10_000)
    ws.send(b"z" * 10_000)
    small, text, binary = (peer.next_frame() for _ in range(3))
    assert not small.rsv1 and small.payload == b"x" * 99
    assert text.opcode == TEXT and text.rsv1 and len(text.payload) < 200 and inflate(text.payload) == b"y" * 10_000
    assert binary.opcode == BINARY and binary.rsv1 and inflate(binary.payload) == b"z" * 10_000

    whole = deflated("grün ".encode() * 1000)
    peer.send_frame(TEXT, whole[:3], fin=False, rsv=0x40)
    peer.send_frame(CONTINUATION, whole[3:])
    assert ws.receive(5) == "grün " * 1000
    peer.send("not compressed, which is allowed")
    assert ws.receive(5) == "not compressed, which is allowed"


@both_sides
def test_no_offer_no_compression(world, side):
    ws, peer = world.open(side)
    ws.send("x" * 10_000)
    found = peer.next_frame()
    assert not found.rsv1 and found.payload == b"x" * 10_000


def test_compression_false_offers_nothing(world):
    ws, peer = world.open("client", compression=False)
    assert "sec-websocket-extensions" not in peer.head.headers
    ws.send("x" * 10_000)
    assert not peer.next_frame().rsv1


@both_sides
def test_a_compression_bomb_is_stopped_by_the_message_limit(world, side):
    ws, peer = world.open(side, headers=(EXTENSION,), max_message_size=100_000)
    bomb = deflated(bytes(20 << 20))
    assert len(bomb) < 100_000
    answering = world.spawn(peer.answer_close)
    peer.send_frame(BINARY, bomb, rsv=0x40)
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(2)
    assert error.value.reason == 1009
    assert answering.result().code == 1009


@both_sides
@pytest.mark.parametrize("payload", [b"\xff\xff\xff\xff", deflated(b"\xff\xfe")], ids=["no deflate", "no UTF-8"])
def test_compressed_rubbish_is_1007(world, side, payload):
    ws, peer = world.open(side, headers=(EXTENSION,))
    answering = world.spawn(peer.answer_close)
    peer.send_frame(TEXT, payload, rsv=0x40)
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(2)
    assert error.value.reason == 1007
    assert answering.result().code == 1007
