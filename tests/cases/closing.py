"""close(): codes, messages, idempotence, whom it wakes, and how long it may take."""

import pytest

from simple_websocket import CloseReason, ConnectionClosed
from tests.cases.marks import both_sides, one_plain_one_tls, plain_and_tls
from tests.support.wire import CLOSE


def answer(world, peer):
    """Let the peer answer the Close frame it gets, and give the frame."""

    def respond():
        close = peer.expect_close()
        peer.send_close(close.code, "")
        peer.hang_up()
        return close

    return world.spawn(respond)


@both_sides
@plain_and_tls
def test_close_sends_one_close_frame_and_ends_tcp(world, side, tls):
    ws, peer = world.open(side, tls)
    answering = answer(world, peer)
    started = world.clock()
    ws.close()
    assert world.clock() - started < 2
    close = answering.result()
    assert (close.code, close.reason) == (1000, "")
    peer.expect_end()
    assert not ws.connected
    assert ws.close_reason == 1000
    ws.close()
    ws.close(1011, "again")  # does nothing
    assert ws.close_reason == 1000


@both_sides
@pytest.mark.parametrize("code, message", [(1000, "done"), (1001, None), (1011, "gr\u00fcn"), (3000, ""), (4999, "x" * 123)])
def test_code_and_message_reach_the_peer(world, side, code, message):
    ws, peer = world.open(side)
    answering = answer(world, peer)
    ws.close(code, message)
    close = answering.result()
    assert (close.code, close.reason) == (code, message or "")


@both_sides
@pytest.mark.parametrize("code", [CloseReason.GOING_AWAY, CloseReason.INTERNAL_ERROR])
def test_codes_may_be_members_of_the_enumeration(world, side, code):
    ws, peer = world.open(side)
    answering = answer(world, peer)
    ws.close(code, "why")
    assert answering.result().code == int(code)


@both_sides
def test_a_long_message_is_cut_between_characters(world, side):
    ws, peer = world.open(side)
    answering = answer(world, peer)
    ws.close(1000, "\u2603" * 100)  # three bytes each: 41 of them fit into 123 bytes
    assert answering.result().reason == "\u2603" * 41


@both_sides
@pytest.mark.parametrize("code", [0, 999, 1004, 1016, 2999, 5000, 70000, -1])
def test_a_code_that_may_not_be_sent_is_refused_and_harms_nothing(world, side, code):
    ws, peer = world.open(side)
    with pytest.raises(ValueError):
        ws.close(code)
    assert ws.connected
    ws.send("still here")
    assert peer.receive() == "still here"
    peer.send("me too")
    assert ws.receive(5) == "me too"


@both_sides
@plain_and_tls
def test_close_wakes_receivers_elsewhere(world, side, tls):
    ws, peer = world.open(side, tls)
    receiving = [world.spawn(ws.receive) for _ in range(3)] + [world.spawn(ws.receive, 60)]
    world.sleep(0.1)
    answering = answer(world, peer)
    started = world.clock()
    ws.close(1001, "stop")
    for task in receiving:
        with pytest.raises(ConnectionClosed) as error:
            task.result(5)
        assert error.value.reason == 1001
    assert world.clock() - started < 2
    assert answering.result().code == 1001


@one_plain_one_tls
def test_close_wakes_receivers_also_when_the_peer_never_answers(world, side, tls):
    ws, peer = world.open(side, tls, close_timeout=0.4)
    receiving = [world.spawn(ws.receive) for _ in range(3)]
    world.sleep(0.1)
    started = world.clock()
    ws.close()
    assert 0.3 < world.clock() - started < 3
    for task in receiving:
        with pytest.raises(ConnectionClosed):
            task.result(2)
    assert peer.expect_close().code == 1000
    peer.expect_end()


@both_sides
def test_close_is_bounded_when_the_peer_goes_on_sending(world, side):
    ws, peer = world.open(side, close_timeout=0.4)
    stop = world.event()

    def babble():
        try:
            while not stop.is_set():
                peer.stream.write(peer.message("x" * 1000), timeout=1)
                world.sleep(0)
        except (OSError, TimeoutError):
            pass

    babbling = world.spawn(babble)
    world.sleep(0.05)
    started = world.clock()
    ws.close()
    assert world.clock() - started < 3
    stop.set()
    babbling.result()


@both_sides
def test_close_timeout_0_does_not_wait(world, side):
    ws, peer = world.open(side, close_timeout=0)
    started = world.clock()
    ws.close(1001)
    assert world.clock() - started < 1.5
    assert peer.expect_close().code == 1001
    peer.expect_end()


@both_sides
def test_the_close_frame_is_sent_however_short_the_close_timeout_is(world, side):
    """The keeper, which has just got the connection, and whoever receives see the deadline pass before close() has written."""
    for receiving in [False, True] * 20:
        ws, peer = world.open(side, close_timeout=0)
        receiver = world.spawn(ws.receive) if receiving else None
        ws.close(1001)
        assert peer.expect_close().code == 1001
        peer.expect_end()
        if receiver:
            receiver.wait()
            assert isinstance(receiver.error, ConnectionClosed)


@both_sides
@plain_and_tls
def test_many_close_at_once(world, side, tls):
    ws, peer = world.open(side, tls)
    receiving = world.spawn(ws.receive)
    world.sleep(0.05)
    answering = answer(world, peer)
    tasks = [world.spawn(ws.close, 4000 + number) for number in range(6)]
    for task in tasks:
        task.result(5)
    assert 4000 <= answering.result().code < 4006
    with pytest.raises(ConnectionClosed):
        receiving.result(5)
    peer.expect_end()  # and no second Close frame before it


@both_sides
@plain_and_tls
def test_the_peer_closes_while_we_receive(world, side, tls):
    ws, peer = world.open(side, tls)
    receiving = world.spawn(ws.receive)
    world.sleep(0.05)
    peer.send_close(3001, "gr\u00fcn")
    with pytest.raises(ConnectionClosed) as error:
        receiving.result(5)
    assert (error.value.reason, error.value.message) == (3001, "gr\u00fcn")
    assert (ws.close_reason, ws.close_message) == (3001, "gr\u00fcn")
    assert not ws.connected
    assert peer.expect(CLOSE).code == 3001
    peer.expect_end()  # answered once
    ws.close()
    with pytest.raises(ConnectionClosed):
        ws.send("late")


@both_sides
def test_a_close_without_a_code_is_1005_and_answered_in_kind(world, side):
    ws, peer = world.open(side)
    peer.send_close(None)
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert error.value.reason == 1005 == ws.close_reason
    assert peer.expect(CLOSE).payload == b""


@both_sides
def test_both_close_at_the_same_time(world, side):
    for _ in range(10):
        ws, peer = world.open(side)
        closing = world.spawn(ws.close, 4001)
        peer.send_close(4002)
        peer.hang_up()
        started = world.clock()
        closing.result(5)
        assert world.clock() - started < 2
        assert peer.expect_close().code in (4001, 4002)
        peer.expect_end()


@plain_and_tls
def test_two_of_ours_close_each_other(world, tls):
    for first in (0, 1):
        both = world.pair(tls)
        receiving = world.spawn(both[1 - first].receive)
        started = world.clock()
        both[first].close(4000, "you")
        with pytest.raises(ConnectionClosed) as error:
            receiving.result(5)
        assert (error.value.reason, error.value.message) == (4000, "you")
        assert world.clock() - started < 2


@plain_and_tls
def test_close_answered_by_a_peer_that_is_busy_elsewhere(world, tls):
    """Nobody calls receive() at the other end: its keeper answers."""
    for first in (0, 1):
        both = world.pair(tls)
        started = world.clock()
        both[first].close()
        assert world.clock() - started < 2
        world.until(lambda both=both, first=first: not both[1 - first].connected)
        assert both[first].close_reason == both[1 - first].close_reason == 1000


@pytest.mark.parametrize("error, code", [(None, 1000), (KeyError, 1011), (KeyboardInterrupt, 1001), (SystemExit, 1001)])
@both_sides
def test_the_context_manager_closes_with_a_code_that_fits(world, side, error, code):
    ws, peer = world.open(side)
    answering = answer(world, peer)
    try:
        with ws as same:
            assert same is ws
            if error is not None:
                raise error
    except (KeyError, KeyboardInterrupt, SystemExit) as raised:
        assert type(raised) is error
    else:
        assert error is None
    assert answering.result().code == code
    assert not ws.connected


def test_the_context_manager_lets_connection_closed_pass(world):
    ws, peer = world.open("client")
    peer.send_close(4000)
    with pytest.raises(ConnectionClosed) as error:
        with ws:
            ws.receive(5)
    assert error.value.reason == 4000
    assert peer.expect(CLOSE).code == 4000


@both_sides
def test_attributes_of_an_open_connection(world, side):
    ws, peer = world.open(side)
    assert ws.connected is True
    assert ws.close_reason is None and ws.close_message is None
    assert ws.latency is None and ws.subprotocol is None
    if side == "server":
        assert ws.mode == "custom" and ws.environ["REQUEST_METHOD"] == "GET"
