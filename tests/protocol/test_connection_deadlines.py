"""connection.py: deadlines of the keepalive and of the closing handshake."""

from simple_websocket.protocol.clock import Keepalive
from simple_websocket.protocol.connection import Protocol, State

from .wire import CLOSE, PING, PONG, Seen, assert_closed_error, close_payload, events_of, f, server, shut, told


def test_without_keepalive_there_is_no_deadline():
    protocol = server()
    assert protocol.next_deadline() is None
    protocol.on_deadline(1e9, 0)
    assert protocol.state is State.OPEN and not protocol.pending


def test_the_closing_handshake_is_given_up_in_time():
    protocol = server()
    shut(protocol, now=100.0)
    protocol.on_deadline(104.9, 0)
    assert protocol.state is State.CLOSING
    protocol.on_deadline(105.0, 0)
    assert protocol.state is State.CLOSED and protocol.lost
    assert_closed_error(protocol, 1006, None)


def test_the_close_timer_starts_once():
    protocol = server()
    assert protocol.start_close_timer(10.0) == 15.0
    assert protocol.start_close_timer(12.0) == 15.0
    assert protocol.next_deadline() == 15.0


def kept_alive(interval=10.0, timeout=3.0):
    return Protocol(False, None, None, 5.0, Keepalive(interval, timeout, 0.0))


def test_keepalive_pings_and_latency():
    protocol = kept_alive()
    assert protocol.next_deadline() == 10.0
    protocol.on_deadline(9.0, 0)
    assert not protocol.pending
    protocol.on_deadline(10.0, 0)
    assert protocol.pending
    [ping] = told(protocol)
    assert ping.opcode == PING
    [pong] = events_of(protocol, f(PONG, ping.payload))
    protocol.pong_received(pong, 10.5)
    assert protocol.latency == 0.5 and protocol.heard == 1
    protocol.on_deadline(13.0, protocol.heard)
    assert protocol.state is State.OPEN and protocol.next_deadline() == 20.0


def test_keepalive_with_a_dead_peer():
    protocol = kept_alive()
    protocol.on_deadline(10.0, 0)
    assert [seen.opcode for seen in told(protocol)] == [PING]
    protocol.on_deadline(13.0, 0)
    assert protocol.failure is not None and protocol.failure[0] == 1008
    [close] = told(protocol)
    assert (close.opcode, close.payload[:2]) == (CLOSE, close_payload(1008))
    assert protocol.next_deadline() == 13.0, "the dead are not waited for"
    protocol.on_deadline(13.0, 0)
    assert protocol.state is State.CLOSED
    assert_closed_error(protocol, 1008, protocol.failure[1])


def test_keepalive_of_a_slow_peer_measures_the_ping_that_was_answered():
    """Round trip of 11 s, a ping every 10 s: the pong to the first comes after the second went out."""
    protocol = kept_alive(10.0, 60.0)
    protocol.on_deadline(10.0, 0)
    [first] = told(protocol)
    protocol.on_deadline(20.0, 0)
    [second] = told(protocol)
    [pong] = events_of(protocol, f(PONG, first.payload))
    protocol.pong_received(pong, 21.0)
    assert protocol.latency in (None, 11.0), "one second is what has passed since the other ping"
    [pong] = events_of(protocol, f(PONG, second.payload))
    protocol.pong_received(pong, 31.5)
    assert protocol.latency == 11.5


def test_keepalive_pings_nobody_who_is_closing():
    protocol = kept_alive()
    events_of(protocol, f(CLOSE, close_payload(1000)))
    protocol.on_deadline(10.0, 1)
    assert told(protocol) == [Seen(CLOSE, close_payload(1000))]
    protocol = kept_alive()
    shut(protocol, now=9.0)
    protocol.on_deadline(10.0, 0)
    assert protocol.data_to_send() == b"" and protocol.next_deadline() == 14.0


def test_keepalive_does_not_replace_the_peers_close():
    protocol = kept_alive()
    protocol.on_deadline(10.0, 0)
    events_of(protocol, f(CLOSE, close_payload(1001, "bye")))
    protocol.on_deadline(13.0, 0)  # a caller that counted no sign of life
    assert protocol.close_status == (1001, "bye")


def test_signs_of_life_are_counted_per_arrival():
    protocol = server()
    events_of(protocol, b"\x81", b"\x80", b"1234")
    assert protocol.heard == 3
    protocol.receive_data(b"")
    assert protocol.heard == 3, "the end of the stream is no sign of life"


def test_keepalive_does_not_replace_an_earlier_failure():
    protocol = kept_alive()
    protocol.on_deadline(10.0, 0)
    events_of(protocol, f(3))
    failure = protocol.failure
    protocol.on_deadline(13.0, 0)
    assert protocol.failure == failure
