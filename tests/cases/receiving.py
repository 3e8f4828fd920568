"""receive(): timeouts, several receivers, iteration, fragments, and messages that came before the end."""

import pytest

from simple_websocket import ConnectionClosed
from tests.cases.marks import both_sides, one_plain_one_tls, one_tls_one_plain, plain_and_tls
from tests.support.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame


@both_sides
@plain_and_tls
def test_timeouts(world, side, tls):
    ws, peer = world.open(side, tls)
    started = world.clock()
    assert ws.receive(timeout=0) is None
    assert world.clock() - started < 0.2
    started = world.clock()
    assert ws.receive(timeout=0.2) is None
    assert 0.19 <= world.clock() - started < 1.5
    assert ws.receive(timeout=-1) is None
    peer.send("now")
    assert ws.receive(timeout=5) == "now"
    peer.send("one")
    peer.send("two")
    assert ws.receive() == "one"
    assert ws.receive() == "two"
    assert ws.receive(timeout=0) is None
    assert ws.connected


@one_tls_one_plain
def test_timeout_0_gives_what_has_arrived(world, side, tls):
    ws, peer = world.open(side, tls)
    for number in range(50):
        peer.send(f"message {number}")
    received = []
    world.until(lambda: received.append(ws.receive(0)) or received[-1] == "message 49")
    assert [message for message in received if message is not None] == [f"message {number}" for number in range(50)]
    # Read ahead by the keeper, they are there at once.
    for number in range(50):
        peer.send(f"again {number}")
    world.sleep(0.6)
    assert [ws.receive(0) for _ in range(51)] == [f"again {number}" for number in range(50)] + [None]


@both_sides
def test_a_timeout_in_the_middle_of_a_message_loses_nothing(world, side):
    ws, peer = world.open(side)
    whole = peer.message("a message in several pieces")
    for at in range(0, len(whole), 7):
        assert ws.receive(0.02) is None
        peer.stream.write(whole[at : at + 7])
    assert ws.receive(5) == "a message in several pieces"


@both_sides
def test_a_message_wakes_receive_at_once(world, side):
    ws, peer = world.open(side)
    for number, pause in enumerate((0, 0.02, 0.55)):  # the last is beyond the keeper's grace
        receiving = world.spawn(ws.receive)
        world.sleep(pause)
        assert not receiving.finished
        started = world.clock()
        peer.send(str(number))
        assert receiving.result(5) == str(number)
        assert world.clock() - started < 0.2


@both_sides
@plain_and_tls
def test_several_receivers_get_each_message_once_and_all_see_the_end(world, side, tls):
    ws, peer = world.open(side, tls)
    received = [[] for _ in range(5)]

    def receive(own):
        try:
            while True:
                message = ws.receive()
                assert message is not None
                own.append(int(message))
        except ConnectionClosed as error:
            return error.reason

    tasks = [world.spawn(receive, own) for own in received]
    for number in range(500):
        peer.send(str(number))
        if number % 100 == 0:
            world.sleep(0.01)
    peer.send_close(1000, "bye")
    assert [task.result() for task in tasks] == [1000] * 5
    assert sorted(sum(received, [])) == list(range(500))
    assert all(own == sorted(own) for own in received)
    for _ in range(3):
        with pytest.raises(ConnectionClosed) as error:
            ws.receive()
        assert (error.value.reason, error.value.message) == (1000, "bye")
        with pytest.raises(ConnectionClosed):
            ws.receive(0)


@both_sides
def test_receivers_with_and_without_a_timeout_side_by_side(world, side):
    ws, peer = world.open(side)
    waiting = world.spawn(ws.receive)
    world.sleep(0.05)
    started = world.clock()
    assert ws.receive(0) is None
    assert ws.receive(0.2) is None
    assert world.clock() - started < 1.5
    peer.send("for whoever waits")
    assert waiting.result(5) == "for whoever waits"


@one_plain_one_tls
def test_messages_before_a_close_are_received_after_it(world, side, tls):
    ws, peer = world.open(side, tls)
    for number in range(20):
        peer.send(str(number))
    peer.send_close(1000)
    peer.expect(CLOSE)  # the keeper has answered
    world.until(lambda: not ws.connected)
    assert [ws.receive() for _ in range(20)] == [str(number) for number in range(20)]
    with pytest.raises(ConnectionClosed):
        ws.receive()


@both_sides
def test_messages_before_our_own_close_are_received_after_it(world, side):
    ws, peer = world.open(side)
    for number in range(20):
        peer.send(str(number))
    answering = world.spawn(lambda: peer.send_close(peer.expect(CLOSE).code))
    ws.close()
    answering.result()
    assert [ws.receive() for _ in range(20)] == [str(number) for number in range(20)]
    with pytest.raises(ConnectionClosed) as error:
        ws.receive()
    assert error.value.reason == 1000


@both_sides
def test_iteration_ends_with_the_connection(world, side):
    ws, peer = world.open(side)
    reading = world.spawn(lambda: list(ws))
    for message in ("one", b"two", ""):
        peer.send(message)
    peer.send_close(4000, "that was all")
    assert reading.result(5) == ["one", b"two", ""]
    assert (ws.close_reason, ws.close_message) == (4000, "that was all")
    assert list(ws) == []


def test_iteration_also_ends_with_a_lost_connection(world):
    ws, peer = world.open("client")
    peer.send("one")
    peer.stream.fin()
    assert list(ws) == ["one"]
    assert ws.close_reason == 1006


@both_sides
def test_fragments_with_control_frames_between_them(world, side):
    ws, peer = world.open(side)
    peer.send_frame(TEXT, "gr\u00fcn".encode()[:3], fin=False)  # in the middle of a character
    peer.send_frame(PING, b"1")
    peer.send_frame(CONTINUATION, "gr\u00fcn".encode()[3:], fin=False)
    peer.send_frame(PONG, b"nobody asked")
    peer.send_frame(CONTINUATION, b"", fin=False)
    peer.send_frame(PING, b"2")
    peer.send_frame(CONTINUATION, b"!", fin=True)
    peer.send_frame(BINARY, b"a", fin=False)
    peer.send_frame(CONTINUATION, b"b")
    assert ws.receive(5) == "gr\u00fcn!"
    assert ws.receive(5) == b"ab"
    assert [peer.expect(PONG).payload for _ in range(2)] == [b"1", b"2"]


@both_sides
def test_a_message_that_comes_byte_by_byte(world, side):
    ws, peer = world.open(side)
    receiving = world.spawn(ws.receive)
    for byte in peer.message("slowly \u2603") + peer.make(PING, b"?") + peer.message(b"then"):
        peer.stream.write(bytes([byte]))
        world.sleep(0.002)
    assert receiving.result(5) == "slowly \u2603"
    assert ws.receive(5) == b"then"
    assert peer.expect(PONG).payload == b"?"


@both_sides
def test_a_message_in_the_same_segment_as_the_handshake(world, side):
    behind = frame(TEXT, b"first", masked=side == "server") + frame(BINARY, b"second", masked=side == "server")
    ws, peer = world.open(side, behind=behind)
    assert ws.receive(5) == "first"
    assert ws.receive(5) == b"second"
    peer.send("third")
    assert ws.receive(5) == "third"


def test_a_close_in_the_same_segment_as_the_handshake(world):
    behind = frame(TEXT, b"hello", masked=False) + frame(CLOSE, close_payload(1013, "full"), masked=False)
    ws, peer = world.open("client", behind=behind)
    assert ws.receive(5) == "hello"
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert (error.value.reason, error.value.message) == (1013, "full")
    assert peer.expect(CLOSE).code == 1013


@both_sides
def test_a_message_of_the_largest_size_allowed(world, side):
    ws, peer = world.open(side, max_message_size=1000)
    peer.send(b"x" * 1000)
    assert ws.receive(5) == b"x" * 1000
    peer.send_frame(BINARY, b"x" * 600, fin=False)
    peer.send_frame(CONTINUATION, b"y" * 400)
    assert ws.receive(5) == b"x" * 600 + b"y" * 400
