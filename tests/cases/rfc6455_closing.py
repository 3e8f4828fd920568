"""RFC 6455 sections 5.1, 5.2, 6.1 and 7: what the connection under test itself writes, bit by bit, and how it closes."""

import pytest

from simple_websocket import ConnectionClosed
from tests.cases.marks import both_sides
from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT, close_payload, xor


def read_exactly(peer, size):
    data = b""
    while len(data) < size:
        piece = peer.stream.read(size - len(data))
        assert piece, "the end of the stream"
        data += piece
    return data


def read_raw(peer, size):
    """One frame whose payload has this size, as (first byte, second byte, extended length, masking key, payload unmasked)."""
    first, second = read_exactly(peer, 2)
    length = read_exactly(peer, 0 if size < 126 else 2 if size < 65536 else 8)
    key = b"" if peer.client else read_exactly(peer, 4)
    payload = read_exactly(peer, size)
    return first, second, length, key, payload if peer.client else xor(payload, key)


@both_sides
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_rfc_6455_section_5_2_headers_that_are_sent(world, side, size):
    """FIN, no reserved bit, the opcode, the mask bit of a client, and the length in the fewest bytes."""
    ws, peer = world.open(side)
    for message, opcode in (("x" * size, TEXT), (b"\xff" * size, BINARY)):
        ws.send(message)
        first, second, length, _, payload = read_raw(peer, size)
        assert first == 0x80 | opcode
        assert second == (0x80 if side == "client" else 0) | (size if size < 126 else 126 if size < 65536 else 127)
        assert not length or int.from_bytes(length, "big") == size
        assert payload == (message.encode() if opcode == TEXT else message)


def test_rfc_6455_section_5_3_masking_keys(world):
    """Unpredictable, and another one for each frame, control frames included."""
    ws, peer = world.open("client")
    keys = []
    for _ in range(100):
        ws.send("Hello")
        keys.append(read_raw(peer, 5)[3])
        ws.ping(b"ping")
        keys.append(read_raw(peer, 4)[3])
    peer.send_frame(PING, b"pong")
    assert ws.receive(0.05) is None
    keys.append(read_raw(peer, 4)[3])
    assert len(set(keys)) > 195
    assert all(100 < len({key[i] for key in keys}) for i in range(4))


@both_sides
def test_rfc_6455_section_5_5_pings_that_are_sent(world, side):
    ws, peer = world.open(side)
    for payload in (b"", b"Hello", bytes(range(125))):
        ws.ping(payload)
        assert peer.expect(PING).payload == payload
    with pytest.raises(ValueError):
        ws.ping(bytes(126))
    ws.send("still here")
    assert peer.receive() == "still here"


@both_sides
def test_rfc_6455_section_5_5_1_nothing_after_a_close_frame(world, side):
    """7.1.3: the closing handshake has started; no data, no ping, no pong, no second Close frame."""
    ws, peer = world.open(side)
    closing = world.spawn(ws.close, 4000)
    assert peer.expect(CLOSE).code == 4000
    peer.send_frame(PING, b"unanswered")
    peer.send("too late")
    for call in (lambda: ws.send("x"), lambda: ws.ping(b"x")):
        with pytest.raises(ConnectionClosed):
            call()
    peer.send_close(4000)
    peer.hang_up()
    closing.result()
    ws.close(4001)
    peer.expect_end()
    assert ws.close_reason == 4000


@both_sides
def test_rfc_6455_section_5_5_1_a_message_in_flight_is_not_lost(world, side):
    ws, peer = world.open(side)
    peer.stream.write(peer.message("one") + peer.message(b"two") + peer.make(CLOSE, close_payload(4002, "bye")))
    ending = world.spawn(lambda: (peer.expect_close(), peer.hang_up()))
    assert [ws.receive(5), ws.receive(5)] == ["one", b"two"]
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert (error.value.reason, error.value.message) == (4002, "bye")
    assert ending.result()[0].code == 4002


def test_rfc_6455_section_7_1_1_the_server_ends_tcp_first(world):
    ws, peer = world.open("server")
    peer.send_close(1000)
    with pytest.raises(ConnectionClosed):
        ws.receive(5)
    assert peer.expect(CLOSE).code == 1000
    peer.expect_end(2)  # although this peer has not ended its direction


def test_rfc_6455_section_7_1_1_the_client_waits_for_the_server(world):
    ws, peer = world.open("client", close_timeout=3)
    closing = world.spawn(ws.close)
    peer.expect_close()
    peer.send_close(1000)
    with pytest.raises(TimeoutError):
        peer.stream.read(timeout=0.1)
    peer.stream.fin()
    closing.result()
    peer.expect_end()


@both_sides
@pytest.mark.parametrize("code", [1005, 1006, 1015])
def test_rfc_6455_section_7_4_1_codes_that_are_never_on_the_wire(world, side, code):
    ws, peer = world.open(side)
    closing = world.spawn(ws.close, code)
    found = peer.expect_close()
    assert found.payload in (b"", close_payload(1000))
    peer.send_close(None)
    peer.hang_up()
    closing.result()


@both_sides
def test_rfc_6455_section_6_1_text_is_sent_as_utf_8(world, side):
    ws, peer = world.open(side)
    text = "a\u00df\u2603\U0001f600"
    ws.send(text)
    assert peer.expect(TEXT).payload == text.encode()
    with pytest.raises(ValueError):
        ws.send("\ud800")
    ws.send(text.encode())
    assert peer.expect(BINARY).payload == text.encode()
    peer.send_frame(PING, b"p")
    assert ws.receive(0.05) is None
    assert peer.expect(PONG).payload == b"p"
