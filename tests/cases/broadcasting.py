"""broadcast() and PreparedMessage: one message to many connections."""

import os

import pytest

from simple_websocket import Compression, ConnectionClosed, PreparedMessage, broadcast
from tests.cases.marks import both_sides, plain_and_tls

AFRESH = Compression(server_no_context_takeover=True, client_no_context_takeover=True, threshold=0)
# What connections of one broadcast may have agreed on.
OPTIONS = [False, True, Compression(threshold=0), Compression(level=9, server_max_window_bits=10), AFRESH]
MESSAGES = ["", "short", "h\u00e9 \u20ac " * 3000, "text " * 40_000, b"", b"\x00\xff" * 50, bytes(300_000), bytearray(b"abc")]


@plain_and_tls
def test_a_broadcast_reaches_connections_of_every_kind_between_their_own_messages(world, tls):
    pairs = [world.pair(tls, {"compression": some}, {"compression": some}) for some in OPTIONS]
    for message in MESSAGES:
        for number, (_, server) in enumerate(pairs):
            server.send(f"before {number} " * 20)
        assert broadcast([server for _, server in pairs], message) == []
        assert broadcast([client for client, _ in pairs], message) == []
        for number, (client, server) in enumerate(pairs):
            server.send(f"before {number} " * 20)  # what was in the window before the broadcast is not referred to
            got = [client.receive(10) for _ in range(3)]
            assert got == [f"before {number} " * 20, message, f"before {number} " * 20]
            assert server.receive(10) == message


@both_sides
def test_a_slow_peer_keeps_nobody_else_waiting(world, side):
    slow, peer = world.open(side)
    fast, other = world.open(side)
    big = os.urandom(1024 * 1024) * 16
    first = world.spawn(broadcast, [slow, fast], big)
    assert other.receive() == big
    second = world.spawn(broadcast, [slow, fast], "behind it")
    assert other.receive() == "behind it"
    assert not second.finished
    assert peer.receive() == big and peer.receive() == "behind it"
    assert first.result() == second.result() == []


@both_sides
def test_what_others_send_meanwhile_is_not_torn(world, side):
    ws, peer = world.open(side)
    messages = [str(number) * 30_000 for number in range(40)]
    beside = world.spawn(lambda: [ws.send(b"beside") for _ in range(200)])
    casting = world.spawn(lambda: [broadcast([ws], message) for message in messages])
    got = [peer.receive() for _ in range(240)]
    assert [message for message in got if isinstance(message, str)] == messages
    assert got.count(b"beside") == 200
    beside.result()
    assert casting.result() == [[]] * 40


def test_connections_that_have_ended_are_returned(world):
    client, server = world.pair()
    gone, peer = world.open("server")
    _, closed = world.pair()
    peer.stream.reset()
    with pytest.raises(ConnectionClosed):
        gone.receive(10)
    closed.close()
    assert set(broadcast([gone, server, closed], "still here")) == {gone, closed}
    assert client.receive(10) == "still here"


def test_a_slow_peer_that_dies_ends_the_wait(world):
    ws, peer = world.open("server")
    sending = world.spawn(broadcast, [ws], os.urandom(1024 * 1024) * 16)
    again = world.spawn(broadcast, [ws], "behind it")
    peer.stream.reset()
    sending.result()
    assert again.result() in ([], [ws])  # what the socket had taken counts as sent
    with pytest.raises(ConnectionClosed):
        ws.receive(10)
    assert broadcast([ws], "more") == [ws]


def test_a_prepared_message_is_sent_like_any_other(world):
    client, server = world.pair()
    for message in MESSAGES:
        prepared = PreparedMessage(message)
        for _ in range(3):
            server.send(prepared)
            client.send(PreparedMessage(prepared))
            assert client.receive(10) == message == server.receive(10)


def test_lone_surrogates_are_the_callers_mistake(world):
    client, server = world.pair()
    with pytest.raises(UnicodeEncodeError):
        broadcast([server], "\ud800")
    server.send("on")
    assert client.receive(10) == "on"
