"""A connection that ends without a Close frame, and a peer that breaks the rules."""

import pytest

from simple_websocket import ConnectionClosed
from tests.cases.marks import both_sides, plain_and_tls
from tests.support.wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload, frame


@both_sides
@plain_and_tls
def test_the_end_of_the_stream_is_1006(world, side, tls):
    ws, peer = world.open(side, tls)
    peer.send("last words")
    receiving = world.spawn(lambda: [ws.receive(), ws.receive()])
    peer.stream.fin()
    with pytest.raises(ConnectionClosed) as error:
        receiving.result(5)
    assert (error.value.reason, error.value.message) == (1006, None)
    assert ws.close_reason == 1006 and not ws.connected
    peer.expect_end()


@both_sides
def test_data_before_the_end_of_the_stream_is_received(world, side):
    ws, peer = world.open(side)
    for number in range(10):
        peer.send(str(number))
    peer.stream.fin()
    assert [ws.receive(5) for _ in range(10)] == [str(number) for number in range(10)]
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert error.value.reason == 1006


@both_sides
def test_data_that_was_read_before_a_reset_is_received(world, side):
    """The keeper has read it ahead; what the kernel still held is lost with a reset, in any program."""
    ws, peer = world.open(side)
    for number in range(10):
        peer.send(str(number))
    peer.send_frame(PING, b"read?")
    assert peer.next_frame().payload == b"read?"
    peer.stream.reset()
    assert [ws.receive(5) for _ in range(10)] == [str(number) for number in range(10)]
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert error.value.reason == 1006


@both_sides
@plain_and_tls
def test_a_reset_while_receiving_is_1006(world, side, tls):
    ws, peer = world.open(side, tls)
    receiving = [world.spawn(ws.receive) for _ in range(3)]
    world.sleep(0.05)
    peer.stream.reset()
    for task in receiving:
        with pytest.raises(ConnectionClosed) as error:
            task.result(5)
        assert error.value.reason == 1006


@both_sides
def test_the_end_inside_a_frame_is_1006(world, side):
    ws, peer = world.open(side)
    peer.stream.write(peer.message("never complete")[:8])
    peer.stream.fin()
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert error.value.reason == 1006


@both_sides
def test_a_lost_connection_is_noticed_without_receiving(world, side):
    ws, peer = world.open(side)
    peer.stream.fin()
    world.until(lambda: not ws.connected, 2)
    world.until(lambda: ws.close_reason == 1006, 2)
    peer.expect_end()


def frames_of(peer, name):
    long = b"x" * 70000
    wrong = not peer.client
    return {
        "reserved opcode": peer.make(3),
        "reserved control opcode": peer.make(0xB),
        "reserved bit 1": peer.make(TEXT, b"x", rsv=0x40),
        "reserved bit 2": peer.make(TEXT, b"x", rsv=0x20),
        "reserved bit 3": peer.make(TEXT, b"x", rsv=0x10),
        "wrong masking": frame(TEXT, b"x", masked=wrong),
        "fragmented ping": peer.make(PING, b"x", fin=False),
        "long ping": peer.make(PING, b"x" * 126),
        "long close": peer.make(CLOSE, close_payload(1000, "x" * 124)),
        "continuation of nothing": peer.make(CONTINUATION, b"x"),
        "message inside a message": peer.make(TEXT, b"x", fin=False) + peer.make(TEXT, b"y"),
        "close with one byte": peer.make(CLOSE, b"\x03"),
        "close with a reserved code": peer.make(CLOSE, close_payload(1006)),
        "close with an unknown code": peer.make(CLOSE, close_payload(2000)),
        "no UTF-8": peer.make(TEXT, b"\xff"),
        "no UTF-8 in the second fragment": peer.make(TEXT, b"\xe2", fin=False) + peer.make(CONTINUATION, b"\x28", fin=False),
        "half a character at the end": peer.make(TEXT, b"\xe2\x98"),
        "close reason that is no UTF-8": peer.make(CLOSE, close_payload(1000) + b"\xff"),
        "too big": peer.make(BINARY, long),
        "too big in fragments": b"".join(peer.make(op, b"x" * 600, fin=False) for op in (BINARY, CONTINUATION)),
        "too big by its header": peer.make(BINARY, long)[: 14 if peer.client else 10],  # all but the payload
    }[name]


VIOLATIONS = {
    1002: [
        "reserved opcode",
        "reserved control opcode",
        "reserved bit 1",
        "reserved bit 2",
        "reserved bit 3",
        "wrong masking",
        "fragmented ping",
        "long ping",
        "long close",
        "continuation of nothing",
        "message inside a message",
        "close with one byte",
        "close with a reserved code",
        "close with an unknown code",
    ],
    1007: ["no UTF-8", "no UTF-8 in the second fragment", "half a character at the end", "close reason that is no UTF-8"],
    1009: ["too big", "too big in fragments", "too big by its header"],
}


@both_sides
@pytest.mark.parametrize("code, name", [(code, name) for code, names in VIOLATIONS.items() for name in names])
def test_a_peer_that_breaks_the_rules_is_told_so(world, side, code, name):
    ws, peer = world.open(side, max_message_size=1000)
    answering = world.spawn(peer.answer_close)
    peer.stream.write(peer.message("before") + frames_of(peer, name))
    assert ws.receive(5) == "before"
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(2)
    assert error.value.reason == code
    assert error.value.message
    assert answering.result().code == code
    assert ws.close_reason == code and not ws.connected
    peer.expect_end()
    with pytest.raises(ConnectionClosed) as error:
        ws.send("late")
    assert error.value.reason == code


@both_sides
def test_violations_are_noticed_by_the_keeper_too(world, side):
    ws, peer = world.open(side)
    peer.send("fine")
    peer.stream.write(peer.make(7))
    assert peer.answer_close().code == 1002
    assert not ws.connected
    assert ws.receive(5) == "fine"
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(2)
    assert error.value.reason == 1002


@both_sides
def test_a_peer_that_breaks_the_rules_and_stays_is_left_within_the_close_timeout(world, side):
    ws, peer = world.open(side, close_timeout=0.4)
    peer.stream.write(peer.make(3))
    started = world.clock()
    with pytest.raises(ConnectionClosed) as error:
        ws.receive()
    assert error.value.reason == 1002
    assert world.clock() - started < 2.5
    assert peer.expect_close().code == 1002
    peer.expect_end()
