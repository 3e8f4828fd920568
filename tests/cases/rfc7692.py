"""RFC 7692, case by case: the scripts of ``tests/support/script_rfc7692.py``, negotiation, and what is compressed how."""

import zlib

import pytest

from simple_websocket import Compression, ConnectionError
from tests.cases.marks import both_sides
from tests.support.peer import Peer, make_stream
from tests.support.play import play
from tests.support.script import name_of, played
from tests.support.script_rfc7692 import AFRESH, ANSWERS, OFFERS, PLAIN, SCRIPTS, SMALL, TAIL, packed
from tests.support.wire import TEXT, response


@pytest.mark.parametrize("side, receive_bytes, script", played(SCRIPTS), ids=name_of)
def test_rfc_7692(world, side, receive_bytes, script):
    play(world, script, side, receive_bytes)


def echo(ws, peer, compressed):
    """A message in each direction, compressed if that was agreed."""
    text = "again and again " * 100
    for _ in range(2):
        ws.send(text)
        assert peer.next_frame().rsv1 is compressed
        peer.send_frame(TEXT, packed(text.encode(), 9) if compressed else text.encode(), rsv=0x40 if compressed else 0)
        assert ws.receive(5) == text


@pytest.mark.parametrize("offer, options, answer", [row[1:] for row in OFFERS], ids=[row[0] for row in OFFERS])
def test_rfc_7692_offers_to_a_server(world, offer, options, answer):
    headers = () if offer is None else (f"Sec-WebSocket-Extensions: {offer}",)
    ws, peer = world.open("server", headers=headers, **options)
    assert peer.head.headers.get("sec-websocket-extensions") == answer
    if answer is None or "client_max_window_bits=8" not in answer:  # zlib has no compressor for 256 bytes
        echo(ws, peer, answer is not None)


def answered(world, answer, options):
    """Let a client see this answer; return (the connection or the error that it raised, its peer)."""
    listener = world.listen()

    def serve():
        peer = Peer(make_stream(world, listener.accept()), client=False)
        world.on_cleanup(peer.close)
        head = peer.read_head()
        peer.stream.write(response(head, () if answer is None else (f"Sec-WebSocket-Extensions: {answer}",)))
        return peer

    serving = world.spawn(serve)
    try:
        return world.connect(listener.url(), **options), serving.result()
    except ConnectionError as error:
        return error, serving.result()


@pytest.mark.parametrize("options, answer, valid", [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_rfc_7692_answers_to_a_client(world, options, answer, valid):
    ws, peer = answered(world, answer, options)
    if valid:
        echo(ws, peer, answer is not None)
    else:
        assert isinstance(ws, ConnectionError)
        peer.expect_end()  # section 7.1: it fails the WebSocket connection


@pytest.mark.parametrize(
    "wanted, offer",
    [
        ({}, "client_max_window_bits"),
        ({"client_max_window_bits": 10}, "client_max_window_bits=10"),
        ({"server_max_window_bits": 9}, "client_max_window_bits; server_max_window_bits=9"),
        ({"server_no_context_takeover": True}, "client_max_window_bits; server_no_context_takeover"),
        ({"client_no_context_takeover": True}, "client_max_window_bits; client_no_context_takeover"),
    ],
)
def test_rfc_7692_section_7_1_what_a_client_offers(world, wanted, offer):
    _, peer = answered(world, None, {"compression": Compression(**wanted)})
    assert peer.head.headers["sec-websocket-extensions"] == f"permessage-deflate; {offer}"


@pytest.mark.parametrize(
    "wanted, answer",
    [
        ({"server_max_window_bits": 10}, "server_max_window_bits=11"),
        ({"server_max_window_bits": 10}, ""),  # 15 is implied, and larger
        ({"client_max_window_bits": 10}, "client_max_window_bits=11"),
    ],
)
def test_rfc_7692_section_7_1_2_a_larger_window_than_offered(world, wanted, answer):
    error, peer = answered(world, f"permessage-deflate; {answer}".removesuffix("; "), {"compression": Compression(**wanted)})
    assert isinstance(error, ConnectionError)
    peer.expect_end()


@both_sides
@pytest.mark.parametrize("deflate", [PLAIN, AFRESH, SMALL], ids=["context", "afresh", "small window"])
def test_rfc_7692_section_7_2_1_what_is_sent(world, side, deflate):
    """RSV1, no tail, a window and a context as agreed; an empty message is one byte."""
    if deflate is SMALL and side == "client":
        deflate = "permessage-deflate; client_max_window_bits=9"
    ws, peer = world.open(side, headers=(f"Sec-WebSocket-Extensions: {deflate}",), compression=Compression(threshold=0))
    inflater = zlib.decompressobj(-9 if "=9" in deflate else -15)
    distinct = b"".join(bytes([high, low]) for high in range(8) for low in range(256))
    sizes = []
    for message in ("", "Hello", "Hello", "", distinct, distinct, "Hello"):
        ws.send(message)
        found = peer.next_frame()
        assert found.rsv1 and found.fin and not found.payload.endswith(TAIL)
        sizes.append(len(found.payload))
        if deflate is AFRESH:
            inflater = zlib.decompressobj(-15)
        data = inflater.decompress(found.payload + TAIL)
        assert data == (message.encode() if isinstance(message, str) else message)
    assert sizes[0] == sizes[3] == 1
    assert (sizes[2] == sizes[1]) is (deflate is AFRESH)
