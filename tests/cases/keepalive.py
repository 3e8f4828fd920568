"""ping_interval and ping_timeout: pings go out, a dead peer is found, a slow one is left alone."""

import pytest

from simple_websocket import ConnectionClosed
from tests.cases.marks import both_sides, one_plain_one_tls, one_tls_one_plain
from tests.support.wire import PING, PONG, TEXT


@one_tls_one_plain
def test_pings_go_out_at_the_interval(world, side, tls):
    ws, peer = world.open(side, tls, ping_interval=0.2, ping_timeout=5)
    receiving = world.spawn(ws.receive)
    times = []
    for _ in range(4):
        ping = peer.expect(PING, 2)
        times.append(world.clock())
        peer.send_frame(PONG, ping.payload)
    assert all(0.1 < after - before < 0.6 for before, after in zip(times, times[1:], strict=False))
    assert not receiving.finished
    world.until(lambda: ws.latency is not None)
    assert 0 <= ws.latency < 0.5
    peer.send("over")
    assert receiving.result() == "over"


def test_no_interval_no_pings(world):
    ws, peer = world.open("server")
    with pytest.raises(TimeoutError):
        peer.next_frame(0.8)
    assert ws.connected


@one_plain_one_tls
def test_a_silent_peer_ends_receive_everywhere(world, side, tls):
    ws, peer = world.open(side, tls, ping_interval=0.2, ping_timeout=0.3)
    receiving = [world.spawn(ws.receive) for _ in range(3)] + [world.spawn(ws.receive, 30)]
    started = world.clock()
    for task in receiving:
        with pytest.raises(ConnectionClosed) as error:
            task.result(5)
        assert error.value.reason == 1008
    assert 0.4 < world.clock() - started < 2.5
    assert ws.close_reason == 1008 and not ws.connected
    with pytest.raises(ConnectionClosed) as error:
        ws.send("late")
    assert error.value.reason == 1008
    assert peer.expect(PING).payload is not None
    assert peer.expect_close().code == 1008
    peer.expect_end()


@both_sides
def test_a_silent_peer_is_found_while_nobody_receives(world, side):
    ws, peer = world.open(side, ping_interval=0.2)
    world.until(lambda: not ws.connected, 3)
    assert ws.close_reason == 1008
    with pytest.raises(ConnectionClosed) as error:
        ws.receive()
    assert error.value.reason == 1008


@one_tls_one_plain
def test_a_peer_that_reads_nothing_ends_a_blocked_send(world, side, tls):
    ws, peer = world.open(side, tls, ping_interval=0.2, ping_timeout=0.4)
    sending = world.spawn(ws.send, bytes(32 << 20))
    receiving = world.spawn(ws.receive)
    with pytest.raises(ConnectionClosed) as error:
        sending.result(6)
    assert error.value.reason == 1008
    with pytest.raises(ConnectionClosed) as error:
        receiving.result(2)
    assert error.value.reason == 1008


def test_a_peer_that_answers_only_with_data_survives(world):
    ws, peer = world.open("client", ping_interval=0.15, ping_timeout=0.3)
    by = world.clock() + 1.2
    count = 0
    while world.clock() < by:
        peer.send("data")
        assert ws.receive(1) == "data"
        count += 1
        world.sleep(0.1)
    assert ws.connected and count > 5
    assert peer.next_frame().opcode == PING


def test_a_peer_that_sends_byte_by_byte_survives(world):
    ws, peer = world.open("server", ping_interval=0.15, ping_timeout=0.3)
    receiving = world.spawn(ws.receive)
    whole = peer.message("one byte every tenth of a second")[:12]
    for byte in whole:
        assert not receiving.finished
        peer.stream.write(bytes([byte]))
        world.sleep(0.1)
    assert ws.connected and not receiving.finished


@both_sides
def test_a_peer_that_reads_slowly_survives_a_big_message(world, side):
    """It answers no ping, because it is still reading what comes before it: progress is a sign of life."""
    ws, peer = world.open(side, ping_interval=0.3, ping_timeout=1.2)
    big = b"slow" * (6 << 18)
    sending = world.spawn(ws.send, big)
    by = world.clock() + 4
    while world.clock() < by and not sending.finished:
        peer.frames.feed(peer.stream.read(131072))
        world.sleep(0.05)
    stop = world.event()
    found = peer.next_frame()
    while found.opcode == PING:
        found = peer.next_frame()
    assert found.payload == big
    answering = world.spawn(peer.answer_pings, stop)
    sending.result()
    assert ws.connected
    stop.set()
    answering.result()


@both_sides
def test_a_peer_that_is_not_read_is_not_called_dead(world, side):
    """Its messages wait for room: that it does not answer is our doing."""
    ws, peer = world.open(side, ping_interval=0.15, ping_timeout=0.3, max_unread_messages=3)
    stop = world.event()
    for number in range(10):
        peer.send(str(number))
    answering = world.spawn(peer.answer_pings, stop)
    world.sleep(0.8)
    assert ws.connected
    assert [ws.receive(5) for _ in range(10)] == [str(number) for number in range(10)]
    world.sleep(0.4)
    assert ws.connected
    stop.set()
    answering.result()


def test_the_timeout_is_the_interval_if_it_is_not_given(world):
    ws, peer = world.open("client", ping_interval=0.5)
    started = world.clock()
    with pytest.raises(ConnectionClosed) as error:
        ws.receive()
    assert error.value.reason == 1008
    assert 0.9 < world.clock() - started < 2.5


@both_sides
def test_latency_of_a_ping_of_ones_own(world, side):
    ws, peer = world.open(side)
    assert ws.latency is None
    receiving = world.spawn(ws.receive)
    ws.ping(b"how far")
    assert peer.expect(PING).payload == b"how far"
    world.sleep(0.2)
    peer.send_frame(PONG, b"how far")
    world.until(lambda: ws.latency is not None, 2)
    assert 0.15 < ws.latency < 1
    peer.send_frame(TEXT, b"end")
    receiving.result()


def test_two_of_ours_keep_each_other_alive(world):
    options = {"ping_interval": 0.15, "ping_timeout": 1}
    client, server = world.pair(server=options, client=options)
    receiving = world.spawn(client.receive)
    world.sleep(1.0)
    assert client.connected and server.connected
    assert client.latency is not None and server.latency is not None
    server.send("fine")
    assert receiving.result() == "fine"
