"""send(): complete, in order and atomic, whoever sends beside it and however slow the peer is."""

import os

import pytest

from simple_websocket import ConnectionClosed
from tests.cases.marks import both_sides, one_tls_one_plain, plain_and_tls
from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT

MIB = 1024 * 1024


@both_sides
@plain_and_tls
def test_32_mebibytes_to_a_peer_that_reads_nothing_for_a_second(world, side, tls):
    ws, peer = world.open(side, tls)
    big = os.urandom(MIB) * 32
    sending = [world.spawn(ws.send, big)]
    sending += [world.spawn(lambda n=number: [ws.send(f"{n}:{i}") for i in range(20)]) for number in range(3)]
    pings = [b"ping %d" % number for number in range(10)]
    for ping in pings:
        peer.send_frame(PING, ping)
        world.sleep(0.1)
    assert not sending[0].finished  # it waits for a peer that does not read

    texts: dict[str, list[int]] = {"0": [], "1": [], "2": []}
    found_big, pongs = False, []
    while not found_big or len(pongs) < len(pings) or sum(map(len, texts.values())) < 60:
        found = peer.next_frame()  # raises Torn, if what arrives is no sequence of whole frames
        assert found is not None and found.fin
        if found.opcode == BINARY:
            assert found.payload == big
            found_big = True
        elif found.opcode == TEXT:
            sender, _, number = found.text.partition(":")
            texts[sender].append(int(number))
        else:
            assert found.opcode == PONG
            pongs.append(found.payload)
    assert all(numbers == list(range(20)) for numbers in texts.values())
    assert pongs == pings
    for task in sending:
        task.result()


@both_sides
@plain_and_tls
def test_many_senders_each_keep_their_order_and_no_frame_is_torn(world, side, tls):
    ws, peer = world.open(side, tls)
    senders, each = 8, 60

    def send(sender):
        for number in range(each):
            head = bytes([sender, number])
            ws.send(head + bytes([sender]) * (number * 97 % 20000))

    tasks = [world.spawn(send, sender) for sender in range(senders)]
    seen = {sender: 0 for sender in range(senders)}
    for _ in range(senders * each):
        message = peer.receive()
        sender, number = message[0], message[1]
        assert number == seen[sender]
        seen[sender] += 1
        assert message[2:] == bytes([sender]) * (number * 97 % 20000)
    for task in tasks:
        task.result()


def test_many_compressed_senders_can_all_be_inflated(world):
    """The deflate stream is shared by all messages: out of order, it cannot be inflated."""
    client, server = world.pair()
    client.send("warm" * 100)
    assert server.receive(10) == "warm" * 100

    def send(sender):
        for number in range(60):
            client.send(f"{sender} {number} " + "word " * (number * 37 % 900))

    tasks = [world.spawn(send, sender) for sender in range(6)]
    seen = dict.fromkeys(range(6), 0)
    for _ in range(6 * 60):
        sender, number, words = server.receive(20).split(" ", 2)
        assert int(number) == seen[int(sender)]
        seen[int(sender)] += 1
        assert words == "word " * (int(number) * 37 % 900)
    for task in tasks:
        task.result()


@both_sides
@plain_and_tls
def test_pongs_and_pings_fit_between_the_frames_of_busy_senders(world, side, tls):
    ws, peer = world.open(side, tls)
    tasks = [world.spawn(lambda: [ws.send(b"x" * 70000) for _ in range(100)]) for _ in range(2)]
    tasks += [world.spawn(lambda: [ws.ping(b"ours") for _ in range(100)])]
    tasks += [world.spawn(lambda: [peer.send_frame(PING, b"%d" % number) for number in range(200)])]
    messages, pings, pongs = 0, 0, []
    while messages < 200 or pings < 100 or pongs[-1:] != [199]:
        found = peer.next_frame()
        if found.opcode == PONG:
            pongs.append(int(found.payload))
        elif found.opcode == PING:
            assert found.payload == b"ours"
            pings += 1
        else:
            assert found.payload == b"x" * 70000
            messages += 1
    assert pongs == sorted(pongs)  # not every ping must be answered, but the last
    for task in tasks:
        task.result()


@one_tls_one_plain
def test_send_that_waits_is_ended_by_close(world, side, tls):
    ws, peer = world.open(side, tls, close_timeout=0.5)
    sending = world.spawn(ws.send, bytes(32 * MIB))
    world.sleep(0.3)
    assert not sending.finished
    started = world.clock()
    ws.close()
    assert world.clock() - started < 3
    with pytest.raises(ConnectionClosed):
        sending.result(3)
    with pytest.raises(ConnectionClosed):
        ws.send("after")


@both_sides
def test_send_that_waits_is_ended_by_a_reset(world, side):
    ws, peer = world.open(side)
    sending = world.spawn(ws.send, bytes(32 * MIB))
    world.sleep(0.2)
    assert not sending.finished
    peer.stream.reset()
    with pytest.raises(ConnectionClosed) as error:
        sending.result(5)
    assert error.value.reason == 1006


@both_sides
def test_send_after_close_raises_with_the_code(world, side):
    ws, peer = world.open(side)
    answering = world.spawn(lambda: peer.send_close(peer.expect(CLOSE).code))
    ws.close(4001, "done")
    answering.result()
    for use in (lambda: ws.send("late"), lambda: ws.ping(), lambda: ws.receive(), lambda: ws.receive(0)):
        with pytest.raises(ConnectionClosed) as error:
            use()
        assert error.value.reason == 4001


def go(peer):
    peer.send_close(1001, "moving")
    peer.stream.fin()
    peer.close()


def send_until_it_fails(world, ws):
    with pytest.raises(ConnectionClosed) as error:
        while True:
            ws.send(b"more" * 1000)
            world.sleep(0.01)
    return error.value


@both_sides
@plain_and_tls
def test_a_peer_that_has_said_goodbye_and_gone_is_reported_with_its_code(world, side, tls):
    """The application only sends: what the peer said before it went is still found."""
    ws, peer = world.open(side, tls)
    go(peer)
    error = world.spawn(send_until_it_fails, world, ws).result(5)
    assert (error.reason, error.message) == (1001, "moving")
    assert ws.close_reason == 1001 and not ws.connected


@both_sides
@plain_and_tls
def test_a_goodbye_that_is_about_to_be_found_is_waited_for(world, side, tls):
    ws, peer = world.open(side, tls)
    with ws._link.read_lock:  # as the keeper has it while it reads
        go(peer)
        sending = world.spawn(send_until_it_fails, world, ws)
        world.until(lambda: not ws.connected)
        world.sleep(0.05)
    error = sending.result(5)
    assert (error.reason, error.message) == (1001, "moving")


@both_sides
@plain_and_tls
def test_what_a_peer_said_that_has_gone_is_received_after_sending_has_failed(world, side, tls):
    """Nobody has read it when sending fails: there was no room."""
    ws, peer = world.open(side, tls, max_unread_messages=1)
    for text in ("one", "two", "three"):
        peer.send(text)
    go(peer)
    world.spawn(send_until_it_fails, world, ws).result(5)
    assert [ws.receive(5) for _ in range(3)] == ["one", "two", "three"]
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert (error.value.reason, error.value.message) == (1001, "moving")


@both_sides
def test_sending_to_a_vanished_peer_reports_1006(world, side):
    ws, peer = world.open(side)
    peer.stream.reset()
    with pytest.raises(ConnectionClosed) as error:
        for _ in range(1000):
            ws.send("hello")
            world.sleep(0.005)
    assert error.value.reason == 1006


@both_sides
def test_a_ping_with_a_payload_and_one_that_is_too_long(world, side):
    ws, peer = world.open(side)
    ws.ping(b"payload")
    assert peer.expect(PING).payload == b"payload"
    ws.ping()
    assert peer.expect(PING).payload == b""
    with pytest.raises(ValueError):
        ws.ping(bytes(126))
    ws.send("still fine")
    assert peer.receive() == "still fine"


def test_text_that_is_no_unicode_is_refused_and_harms_nothing(world):
    client, server = world.pair()
    with pytest.raises(UnicodeEncodeError):
        client.send("half a \ud800 pair")
    client.send("whole")
    assert server.receive(5) == "whole"
