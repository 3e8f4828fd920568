"""What happens while nobody is in receive(): the keeper answers, notices, reads ahead, and stops at a bound."""

import dataclasses
import time

import pytest

from simple_websocket import ConnectionClosed, go_away
from simple_websocket.backends import resolve
from simple_websocket.keeper import GRACE
from tests.cases.marks import both_sides, one_plain_one_tls, one_tls_one_plain, plain_and_tls
from tests.support import leaks
from tests.support.wire import CLOSE, PING, PONG, TEXT


@both_sides
@plain_and_tls
def test_a_ping_is_answered_within_a_second_while_the_application_is_busy(world, side, tls):
    ws, peer = world.open(side, tls)
    for number in range(2):
        started = world.clock()
        peer.send_frame(PING, b"%d" % number)
        assert peer.expect(PONG, timeout=1).payload == b"%d" % number
        assert world.clock() - started < 1
    peer.send("read ahead")
    peer.send_frame(PING, b"after a message")
    assert peer.expect(PONG, timeout=1).payload == b"after a message"
    assert ws.receive(0) == "read ahead"
    # Taken back from the keeper, and adopted again.
    peer.send_frame(PING, b"again")
    assert peer.expect(PONG, timeout=1).payload == b"again"


@both_sides
def test_pings_are_answered_while_the_application_only_sends(world, side):
    ws, peer = world.open(side)
    stop = world.event()

    def send():
        while not stop.is_set():
            ws.send("tick")
            world.sleep(0.02)

    sending = world.spawn(send)
    for number in range(3):
        peer.send_frame(PING, b"%d" % number)
        started = world.clock()
        found = peer.next_frame(2)
        while found.opcode != PONG:
            assert found.text == "tick"
            found = peer.next_frame(2)
        assert world.clock() - started < 1
    stop.set()
    sending.result()


@both_sides
@plain_and_tls
def test_a_close_is_noticed_and_answered_while_the_application_only_sends(world, side, tls):
    ws, peer = world.open(side, tls)

    def send():
        with pytest.raises(ConnectionClosed) as error:
            while True:
                ws.send("tick")
                world.sleep(0.02)
        return error.value.reason

    sending = world.spawn(send)
    peer.send_close(1001)
    assert peer.expect_close(2).code == 1001
    peer.hang_up()
    assert sending.result(2) == 1001
    assert not ws.connected


@both_sides
@plain_and_tls
def test_connected_turns_false_without_reading(world, side, tls):
    ws, peer = world.open(side, tls)
    assert ws.connected
    peer.send_close(1000, "bye")
    world.until(lambda: not ws.connected, 1.5)
    assert (ws.close_reason, ws.close_message) == (1000, "bye")
    assert peer.expect(CLOSE, 2).code == 1000
    if side == "server":
        peer.expect_end(2)  # a server ends TCP by itself


@one_plain_one_tls
def test_reading_ahead_stops_at_so_many_messages(world, side, tls):
    ws, peer = world.open(side, tls, max_unread_messages=10)
    total = flood(world, peer, b"x" * 2000)
    finishing = world.spawn(peer.stream.finish)
    assert all(ws.receive(5)[:8] == b"%08d" % number for number in range(total))
    assert ws.receive(0) is None
    finishing.result()
    peer.send("still open")
    assert ws.receive(5) == "still open"


@one_tls_one_plain
def test_reading_ahead_stops_at_so_many_bytes(world, side, tls):
    ws, peer = world.open(side, tls, max_unread_messages=10**6, max_unread_bytes=100_000)
    total = flood(world, peer, b"x" * 2000)
    finishing = world.spawn(peer.stream.finish)
    assert all(ws.receive(5)[:8] == b"%08d" % number for number in range(total))
    finishing.result()
    peer.send("still open")
    assert ws.receive(5) == "still open"


def flood(world, peer, filling):
    """Send numbered messages until the connection takes no more for a while; return how many.  The last follows later."""
    for number in range(40_000):  # the system's own buffers take some megabytes
        try:
            peer.stream.write(peer.message(b"%08d" % number + filling), timeout=0.8)
        except TimeoutError:
            return number + 1
    raise AssertionError("the peer was not slowed down")


def test_pings_are_still_answered_once_there_is_room_again(world):
    ws, peer = world.open("server", max_unread_messages=2)
    for number in range(6):
        peer.send(str(number))
    peer.send_frame(PING, b"behind them")
    world.sleep(0.6)
    assert [ws.receive(5) for _ in range(6)] == [str(number) for number in range(6)]
    assert peer.expect(PONG, 2).payload == b"behind them"


@both_sides
@plain_and_tls
def test_a_ping_behind_a_message_is_answered_when_nobody_comes_back_for_more(world, side, tls):
    """They arrive together, for somebody who receives the message on a connection that was the keeper's."""
    backend = dataclasses.replace(resolve(**world.options), told_to_stop=None)  # nothing else wakes the keeper
    ws, peer = world.open(side, tls, backend=backend)
    for number in range(3):
        world.sleep(0.7)  # adopted
        receiving = world.spawn(ws.receive)
        world.sleep(0.05)
        peer.stream.write(peer.make(TEXT, b"a message") + peer.make(PING, b"%d" % number))
        assert receiving.result(5) == "a message"
        assert peer.expect(PONG, 1.5).payload == b"%d" % number


@one_tls_one_plain
def test_receive_gets_everything_in_order_while_the_keeper_comes_and_goes(world, side, tls):
    """Pauses around the keeper's grace, so that it adopts the connection and loses it again and again."""
    ws, peer = world.open(side, tls, max_unread_messages=5)
    sending = world.spawn(lambda: [(peer.send(str(number)), world.sleep(0.001)) for number in range(400)])
    for number in range(400):
        assert ws.receive(5) == str(number)
        if number % 200 == 50:
            world.sleep(0.3)
        elif number % 200 == 150:
            world.sleep(0.55)
    sending.result()


def test_one_keeper_for_any_number_of_connections(world):
    pairs = [world.pair() for _ in range(20)]
    world.until(lambda: len(leaks.keepers()) == 1)
    for _, server in pairs:
        server.send("unread")
    world.sleep(0.6)
    assert len(leaks.keepers()) == 1
    assert all(client.receive(0) == "unread" for client, _ in pairs)
    for client, server in pairs:
        world.spawn(client.close)
        world.spawn(server.close)
    world.until(lambda: not leaks.keepers(), 5, "the end of the keeper")
    # A new connection gets a new one.
    world.pair()
    world.until(lambda: len(leaks.keepers()) == 1)


@pytest.mark.parametrize("others", ["new", "adopted", "received"])
def test_a_connection_that_joins_others_is_looked_after(world, others):
    """Whether the keeper has to be woken for it depends on what it waits for; nothing else wakes it on such a backend."""
    backend = dataclasses.replace(resolve(**world.options), told_to_stop=None)
    first, _ = world.open("server", backend=backend)
    if others == "received":
        world.spawn(first.receive)
    if others != "new":
        world.sleep(3 * GRACE)
    _ws, peer = world.open("server", backend=backend)
    peer.send_frame(PING, b"hello")
    assert peer.expect(PONG, timeout=1).payload == b"hello"


def test_connections_that_have_just_been_made_go_away_with_the_others(world):
    pairs = [world.open("server") for _ in range(5)]
    go_away()
    for ws, peer in pairs:
        assert not ws.connected
        assert peer.expect(CLOSE).code == 1001


def test_idle_connections_cost_no_cpu(world):
    opened = [world.open(side) for side in ("client", "server") * 5]
    waiting = [world.spawn(ws.receive) for ws, _ in opened[:5]]
    world.sleep(0.6)  # the other five are adopted
    before = time.process_time()
    world.sleep(1.0)
    assert time.process_time() - before < 0.1
    for _, peer in opened:
        peer.send("end")
    assert [task.result() for task in waiting] == ["end"] * 5


def test_a_blocked_sender_costs_no_cpu(world):
    """It waits for the socket; the keeper must not spin beside it."""
    ws, peer = world.open("server")
    sending = world.spawn(ws.send, bytes(32 << 20))
    peer.stream.read(1 << 20)  # there is room again, and soon none
    world.sleep(0.8)
    assert not sending.finished
    before = time.process_time()
    world.sleep(1.0)
    assert time.process_time() - before < 0.15
    peer.stream.reset()
    with pytest.raises(ConnectionClosed):
        sending.result()
