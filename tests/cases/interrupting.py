"""An exception from outside inside a blocked call: Ctrl-C, or a greenlet's timeout.

Afterwards the connection is as usable as before, or it is closed; never is a frame left torn with others behind it.
"""

import os

import pytest

from simple_websocket import Client, ConnectionClosed
from tests.cases.marks import both_sides, one_plain_one_tls, one_tls_one_plain
from tests.support import leaks
from tests.support.wire import BINARY, PING, PONG

MIB = 1024 * 1024


@one_tls_one_plain
def test_receive_interrupted_goes_on(world, side, tls):
    ws, peer = world.open(side, tls)
    for error in world.interruptions:
        whole = peer.message("in two halves")
        peer.stream.write(whole[:9])
        started = world.clock()
        with pytest.raises(error):
            with world.interrupting(0.1, error):
                ws.receive()
        assert world.clock() - started < 2
        peer.stream.write(whole[9:])
        assert ws.receive(5) == "in two halves"
        with pytest.raises(error):
            with world.interrupting(0.05, error):
                ws.receive(30)
        peer.send_frame(PING, b"still there?")
        assert peer.expect(PONG, 2).payload == b"still there?"
        ws.send("yes")
        assert peer.receive() == "yes"
    assert ws.connected


@one_plain_one_tls
def test_send_interrupted_is_never_torn(world, side, tls):
    for error in world.interruptions:
        ws, peer = world.open(side, tls)
        big = os.urandom(MIB) * 24
        with pytest.raises(error):
            with world.interrupting(0.4, error):
                ws.send(big)
        whole = []

        def read(peer=peer, whole=whole):
            try:
                while True:
                    found = peer.next_frame(5)
                    if found is None:
                        return
                    if found.opcode == BINARY:
                        whole.append(found.payload)
                        if found.payload == b"behind it":
                            return
            except (ConnectionError, AssertionError) as torn:
                assert "inside a frame" in str(torn) or isinstance(torn, ConnectionError), torn

        reading = world.spawn(read)
        try:
            ws.send(b"behind it")
            usable = True
        except ConnectionClosed:
            usable = False
        reading.result(20)
        if usable:
            assert whole == [big, b"behind it"]
        else:
            assert whole in ([], [big]) and not ws.connected


@both_sides
def test_an_interrupted_send_is_completed_without_another_one(world, side):
    """Nobody sends again: the keeper writes the rest."""
    error = world.interruptions[-1]
    ws, peer = world.open(side)
    big = os.urandom(MIB) * 24
    with pytest.raises(error):
        with world.interrupting(0.4, error):
            ws.send(big)
    if ws.connected:
        assert peer.expect(BINARY).payload == big
        peer.send_frame(PING, b"?")
        assert peer.expect(PONG, 2).payload == b"?"


def test_interrupted_senders_of_compressed_messages(world):
    """The deflate stream that both sides share must not lose a message in the middle."""
    error = world.interruptions[-1]
    client, server = world.pair()
    received = []
    reading = world.spawn(lambda: received.extend(server))
    text = os.urandom(60_000).hex()
    sent = 0
    for number in range(40 if world.name == "threading" else 8):  # greenlets are interrupted where they wait, only
        try:
            with world.interrupting(0.001 + number * 0.0007, error):
                while True:
                    client.send(f"{sent} {text}")
                    sent += 1
        except error:
            sent += 1  # perhaps it went out, perhaps not
        except ConnectionClosed:
            break
    if client.connected:
        client.send("end")
    client.close()
    reading.result()
    numbers = [int(message.partition(" ")[0]) for message in received if message != "end"]
    assert numbers == sorted(set(numbers))
    assert all(message.partition(" ")[2] == text for message in received if message != "end")
    assert server.close_reason in (1000, 1006)


@one_plain_one_tls
def test_close_interrupted_can_be_called_again(world, side, tls):
    error = world.interruptions[-1]
    ws, peer = world.open(side, tls, close_timeout=0.5)
    with pytest.raises(error):
        with world.interrupting(0.1, error):
            ws.close(4000)
    assert not ws.connected
    started = world.clock()
    ws.close()
    assert world.clock() - started < 3
    assert peer.expect_close().code == 4000
    peer.expect_end()
    with pytest.raises(ConnectionClosed):
        ws.receive()


def test_connecting_interrupted_leaves_nothing(world):
    listener = world.listen()
    before = set(leaks.descriptors())
    for error in world.interruptions:
        with pytest.raises(error):
            with world.interrupting(0.2, error):
                Client.connect(listener.url(), **world.options)
        listener.accept().close()
    world.until(lambda: set(leaks.descriptors()) <= before, 3)


@both_sides
def test_a_receiver_that_was_interrupted_leaves_the_lock_to_the_others(world, side):
    error = world.interruptions[-1]
    ws, peer = world.open(side)
    with pytest.raises(error):
        with world.interrupting(0.3, error):
            others = [world.spawn(ws.receive) for _ in range(2)]
            ws.receive()
    peer.send("one")
    peer.send("two")
    assert sorted(task.result(5) for task in others) == ["one", "two"]
