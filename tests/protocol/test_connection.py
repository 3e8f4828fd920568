"""connection.py: the state machine after the opening handshake, RFC 6455 sections 5.5 and 7."""

import pytest

from simple_websocket.errors import CloseReason
from simple_websocket.protocol.connection import Pong, Protocol, State, check_close

from .wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    RSV1,
    TEXT,
    Seen,
    assert_closed_error,
    client,
    close_payload,
    drain,
    events_of,
    f,
    frame,
    header,
    joined,
    parse,
    received,
    server,
    shut,
    told,
)

VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
INVALID_CODES = [0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


# Sending


@pytest.mark.parametrize("make, masked", [(server, False), (client, True)])
def test_5_6_messages_out(make, masked):
    protocol = make()
    assert parse(joined(protocol.send("h\u00e9 \u20ac")), masked) == [Seen(TEXT, "h\u00e9 \u20ac".encode())]
    assert parse(joined(protocol.send(b"\xff\x00")), masked) == [Seen(BINARY, b"\xff\x00")]
    assert parse(joined(protocol.send("")), masked) == [Seen(TEXT, b"")]
    big = bytes(range(256)) * 1000
    assert parse(joined(protocol.send(big)), masked) == [Seen(BINARY, big)]
    assert protocol.state is State.OPEN and not protocol.pending


def test_5_6_lone_surrogates_cannot_be_sent():
    protocol = server()
    with pytest.raises(UnicodeEncodeError):
        protocol.send("\ud800")
    assert parse(joined(protocol.send("on")), False) == [Seen(TEXT, b"on")]


@pytest.mark.parametrize("one, other", [(server, client), (client, server)])
def test_our_two_roles_understand_each_other(one, other):
    sender, receiver = one(), other()
    messages = ["text", b"bytes", "", b"", "x" * 70_000, bytes(70_000)]
    for message in messages:
        out = sender.send(message)
        assert events_of(receiver, joined(out)) == [message]
    assert events_of(receiver, joined(sender.ping(b"p", 0.0))) == []
    assert events_of(sender, receiver.data_to_send()) == [Pong(b"p")]
    assert events_of(receiver, joined(sender.close(4000, "bye"))) == []
    assert receiver.close_received == (4000, "bye")
    assert events_of(sender, receiver.data_to_send()) == []
    assert sender.state is receiver.state is State.CLOSED
    assert sender.close_received == (4000, "")


# Section 5.5.2 and 5.5.3, pings and pongs


@pytest.mark.parametrize("make, key", [(server, KEY), (client, None)])
@pytest.mark.parametrize("payload", [b"", b"p", b"\xff" * 125])
def test_5_5_2_a_ping_is_answered_with_its_payload(make, key, payload):
    protocol = make()
    assert events_of(protocol, frame(PING, payload, key=key)) == []
    assert protocol.pending
    assert told(protocol) == [Seen(PONG, payload)]
    assert not protocol.pending and protocol.data_to_send() == b""


def test_5_5_2_pings_between_messages():
    protocol = server()
    assert events_of(protocol, f(TEXT, b"a") + f(PING, b"1") + f(TEXT, b"b") + f(PING, b"2")) == ["a", "b"]
    assert told(protocol) == [Seen(PONG, b"1"), Seen(PONG, b"2")]


def test_5_5_3_a_ping_flood_is_answered_with_the_latest_64():
    protocol = server()
    pings = b"".join(f(PING, b"%d" % i) for i in range(1000))
    assert events_of(protocol, pings + f(TEXT, b"still here")) == ["still here"]
    assert told(protocol) == [Seen(PONG, b"%d" % i) for i in range(1000 - 64, 1000)]
    assert events_of(protocol, f(PING, b"again")) == []
    assert told(protocol) == [Seen(PONG, b"again")]


def test_5_5_3_an_unsolicited_pong_is_reported_and_not_answered():
    protocol = server()
    assert events_of(protocol, f(PONG, b"unasked")) == [Pong(b"unasked")]
    protocol.pong_received(Pong(b"unasked"), 1.0)
    assert not protocol.pending and protocol.data_to_send() == b"" and protocol.latency is None


@pytest.mark.parametrize("make", [server, client])
def test_5_5_2_ping_out(make):
    protocol = make()
    assert parse(joined(protocol.ping(b"x" * 125, 0.0)), protocol._client) == [Seen(PING, b"x" * 125)]
    with pytest.raises(ValueError, match="125"):
        protocol.ping(b"x" * 126, 0.0)


def test_latency():
    protocol = server()
    protocol.ping(b"one", 10.0)
    protocol.pong_received(Pong(b"other"), 10.1)
    assert protocol.latency is None
    protocol.pong_received(Pong(b"one"), 10.25)
    assert protocol.latency == 0.25
    protocol.ping(b"two", 20.0)
    protocol.pong_received(Pong(b"one"), 20.1)
    assert protocol.latency == 0.25
    protocol.pong_received(Pong(b"two"), 21.0)
    assert protocol.latency == 1.0


def test_latency_of_the_latest_of_several_pings():
    protocol = server()
    for i in range(1000):
        protocol.ping(b"%d" % i, float(i))
    protocol.pong_received(Pong(b"998"), 1000.0)
    assert protocol.latency == 2.0
    # That answered the earlier ones, too (section 5.5.3).
    protocol.pong_received(Pong(b"997"), 1001.0)
    assert protocol.latency == 2.0
    protocol.pong_received(Pong(b"999"), 1005.0)
    assert protocol.latency == 6.0


def test_latency_is_not_changed_by_a_second_pong_for_the_same_ping():
    protocol = server()
    protocol.ping(b"one", 10.0)
    protocol.pong_received(Pong(b"one"), 10.25)
    protocol.pong_received(Pong(b"one"), 50.0)
    assert protocol.latency == 0.25


# Section 5.5.1 and 7, closing


@pytest.mark.parametrize("code", VALID_CODES)
@pytest.mark.parametrize("reason", ["", "why", "€" * 41], ids=["no reason", "reason", "123 bytes"])
def test_5_5_1_close_by_the_peer(code, reason):
    protocol = server()
    assert events_of(protocol, f(TEXT, b"before") + f(CLOSE, close_payload(code, reason)) + f(TEXT, b"behind")) == ["before"]
    assert protocol.close_received == (code, reason) and protocol.failure is None
    assert protocol.state is State.CLOSING and protocol.pending and not protocol.open
    assert told(protocol) == [Seen(CLOSE, close_payload(code))]
    assert protocol.state is State.CLOSED and protocol.close_sent
    assert protocol.data_to_send() == b""
    assert_closed_error(protocol, code, reason)


def test_7_4_the_closed_error_knows_defined_codes():
    assert received(f(CLOSE, close_payload(1001))).closed_error().reason is CloseReason.GOING_AWAY


def test_7_1_5_close_without_a_code_is_1005():
    protocol = received(f(CLOSE))
    assert protocol.close_received == (1005, "")
    assert told(protocol) == [Seen(CLOSE, b"")]
    assert_closed_error(protocol, 1005, "")


@pytest.mark.parametrize(
    "payload, code",
    [(b"\x03", 1002), (b"\xff", 1002)]
    + [(close_payload(code, "x"), 1002) for code in INVALID_CODES]
    + [(close_payload(code), 1002) for code in INVALID_CODES]
    + [(close_payload(1000) + bad, 1007) for bad in (b"\xff", b"ok \xe2\x82", b"\xed\xa0\x80")],
    ids=lambda value: value.hex() if isinstance(value, bytes) else str(value),
)
def test_7_4_invalid_close_frames(payload, code):
    protocol = received(f(CLOSE, payload))
    assert protocol.close_received is None
    assert protocol.failure is not None and protocol.failure[0] == code
    [close] = told(protocol)
    assert (close.opcode, close.payload[:2]) == (CLOSE, close_payload(code))
    assert protocol.state is State.CLOSING, "the end of the stream is still to come"
    protocol.receive_data(b"")
    assert protocol.state is State.CLOSED


def test_5_5_1_nothing_is_read_behind_a_close_frame():
    protocol = received(f(CLOSE, close_payload(1000)))
    assert events_of(protocol, f(TEXT, b"x"), f(PING), f(CLOSE, close_payload(1001)), b"\xff" * 100) == []
    assert protocol.close_received == (1000, "") and protocol.failure is None
    assert told(protocol) == [Seen(CLOSE, close_payload(1000))]


def test_5_5_1_pings_before_the_close_are_answered_before_it():
    protocol = received(f(PING, b"1") + f(CLOSE, close_payload(1000)))
    assert told(protocol) == [Seen(PONG, b"1"), Seen(CLOSE, close_payload(1000))]


@pytest.mark.parametrize("make, key", [(server, KEY), (client, None)])
@pytest.mark.parametrize("code", VALID_CODES)
def test_7_1_2_close_by_us(make, key, code):
    protocol = make()
    assert shut(protocol, code, "why", 100.0) == [Seen(CLOSE, close_payload(code, "why"))]
    assert protocol.state is State.CLOSING and protocol.close_sent and not protocol.open
    assert protocol.next_deadline() == 105.0
    # What the peer sent before it saw our Close frame still arrives, and pings are not answered any more.
    assert events_of(protocol, frame(TEXT, b"late", key=key) + frame(PING, b"p", key=key)) == ["late"]
    assert protocol.data_to_send() == b""
    assert events_of(protocol, frame(CLOSE, close_payload(code), key=key)) == []
    assert protocol.state is State.CLOSED
    assert protocol.data_to_send() == b"", "a Close frame is sent once"
    assert_closed_error(protocol, code, "")


def test_7_1_2_close_twice():
    protocol = server()
    assert shut(protocol, now=100.0) != []
    assert shut(protocol, 1001, "again", 103.0) == []
    assert protocol.next_deadline() == 105.0, "the time runs from the first"


def test_7_1_2_both_close_at_once():
    protocol = server()
    shut(protocol)
    assert events_of(protocol, f(CLOSE, close_payload(1001, "me too"))) == []
    assert protocol.state is State.CLOSED and protocol.data_to_send() == b""
    assert_closed_error(protocol, 1001, "me too")


def test_7_1_2_close_answers_a_close_that_was_not_answered_yet():
    protocol = received(f(CLOSE, close_payload(1001)))
    assert shut(protocol) == [Seen(CLOSE, close_payload(1000))]
    assert protocol.state is State.CLOSED
    assert protocol.data_to_send() == b""


@pytest.mark.parametrize("code", [0, 999, 1004, 1014, 1016, 2999, 5000, 65536, -1])
def test_7_4_codes_that_may_not_be_sent(code):
    protocol = server()
    with pytest.raises(ValueError, match="close code"):
        protocol.begin_close(code, "", 0.0)
    with pytest.raises(ValueError, match="close code"):
        protocol.close(code, "")
    assert protocol.state is State.OPEN and not protocol.close_sent and protocol.next_deadline() is None
    assert parse(joined(protocol.send("on")), False) == [Seen(TEXT, b"on")]


@pytest.mark.parametrize("code, payload", [(1005, b""), (1006, close_payload(1000)), (1015, close_payload(1000))])
def test_7_4_codes_that_stand_for_none(code, payload):
    assert shut(server(), code) == [Seen(CLOSE, payload)]


@pytest.mark.parametrize("length", range(118, 128))
@pytest.mark.parametrize("character", ["a", "\u00e9", "\u20ac", "\U0001f600"], ids=["1", "2", "3", "4"])
def test_5_5_a_long_reason_is_cut_between_characters(length, character):
    reason = "a" * length + character
    [close] = shut(server(), 1000, reason)
    assert len(close.payload) <= 125
    said = close.payload[2:].decode()
    assert reason.startswith(said)
    if said != reason:
        assert len((said + reason[len(said)]).encode()) > 123


def test_a_reason_that_utf8_cannot_express_does_not_use_up_the_close_frame():
    protocol = server()
    with pytest.raises(UnicodeEncodeError):
        protocol.begin_close(1000, "\ud800", 0.0)
    with pytest.raises(UnicodeEncodeError):
        protocol.close(1000, "\ud800")
    assert protocol.state is State.OPEN and not protocol.close_sent and protocol.next_deadline() is None
    assert shut(protocol) == [Seen(CLOSE, close_payload(1000))]


# Section 7.1.7, failing the connection


@pytest.mark.parametrize("make, key", [(server, KEY), (client, None)])
@pytest.mark.parametrize("opcode, options, code", [(3, {}, 1002), (TEXT, {"rsv": RSV1}, 1002), (CONTINUATION, {}, 1002)])
def test_7_1_7_a_violation_fails_the_connection(make, key, opcode, options, code):
    protocol = make()
    stream = frame(TEXT, b"good", key=key) + frame(PING, b"p", key=key) + frame(opcode, b"bad", key=key, **options)
    assert events_of(protocol, stream + frame(TEXT, b"behind", key=key)) == ["good"]
    assert protocol.failure is not None and protocol.failure[0] == code and protocol.close_received is None
    assert not protocol.open and protocol.state is State.CLOSING and protocol.pending
    pong, close = told(protocol)
    assert pong == Seen(PONG, b"p")
    assert (close.opcode, close.payload[:2]) == (CLOSE, close_payload(code))
    assert close.payload[2:].decode() == protocol.failure[1]
    assert_closed_error(protocol, code, protocol.failure[1])
    assert events_of(protocol, frame(TEXT, b"more", key=key)) == []
    assert protocol.data_to_send() == b""


def test_7_1_7_after_our_close_a_violation_sends_nothing_more():
    protocol = server()
    shut(protocol)
    assert events_of(protocol, f(3)) == []
    assert protocol.failure is not None and protocol.data_to_send() == b""


@pytest.mark.parametrize("make, wrong", [(server, frame(TEXT, b"x")), (client, f(TEXT, b"x"))])
def test_5_1_masking_of_the_wrong_role(make, wrong):
    protocol = make()
    assert events_of(protocol, wrong) == []
    assert protocol.failure is not None and protocol.failure[0] == 1002


def test_7_1_7_the_first_failure_stays():
    protocol = received(f(3))
    failure = protocol.failure
    protocol.leave(1001, 100.0)
    assert protocol.failure == failure and protocol.close_status == failure


def test_7_4_going_away():
    protocol = server()
    protocol.leave(1001, 100.0)
    assert not protocol.open and protocol.pending
    assert told(protocol) == [Seen(CLOSE, close_payload(1001))]
    assert protocol.state is State.CLOSING
    assert_closed_error(protocol, 1001, "")


def test_refusing_new_messages_before_the_close_frame_is_written():
    protocol = server()
    assert protocol.begin_close(1000, "now", 100.0) == 105.0
    assert protocol.state is State.CLOSING and not protocol.close_sent
    assert_closed_error(protocol, 1006, None)
    # Until then, pings are answered.
    events_of(protocol, f(PING, b"p"))
    assert told(protocol) == [Seen(PONG, b"p")]
    assert parse(joined(protocol.close(1000, "now")), False) == [Seen(CLOSE, close_payload(1000, "now"))]


def test_others_leave_the_end_to_who_closes_for_a_while():
    protocol = Protocol(False, None, None, 0.0, None)
    assert protocol.begin_close(1000, "now", 100.0, grace=0.5) == 100.0
    assert protocol.start_close_timer(100.0) == protocol.next_deadline() == 100.5
    protocol.on_deadline(100.4, 0)
    assert protocol.state is State.CLOSING
    assert protocol.close(1000, "now")
    protocol.on_deadline(100.5, 0)
    assert protocol.state is State.CLOSED


# The end of the stream


def test_nothing_can_be_written_any_more_but_there_is_something_to_read():
    protocol = server()
    protocol.receive_data(f(TEXT, b"one") + f(PING) + f(CLOSE, close_payload(1001)))
    protocol.end_of_sending(100.0)
    assert protocol.state is State.CLOSING and not protocol.open and protocol.next_deadline() == 105.0
    assert drain(protocol) == ["one"]
    assert protocol.data_to_send() == b"" and shut(protocol) == []
    assert protocol.state is State.CLOSED and protocol.close_status == (1001, "")


@pytest.mark.parametrize("end", ["eof", "empty data", "abort"])
@pytest.mark.parametrize("before", [b"", f(TEXT, b"half", fin=False), f(TEXT, b"cut")[:-1], b"\x81"])
def test_7_1_5_the_stream_ends_without_a_close_frame(end, before):
    protocol = received(before) if before else server()
    if end == "empty data":
        protocol.receive_data(b"")
    else:
        {"eof": lambda: protocol.receive_data(b""), "abort": protocol.abort}[end]()
    assert drain(protocol) == []
    assert protocol.state is State.CLOSED and protocol.lost and not protocol.open
    assert protocol.data_to_send() == b""
    assert shut(protocol) == []
    assert_closed_error(protocol, 1006, None)


def test_messages_received_before_the_end_of_the_stream_are_still_there():
    protocol = server()
    protocol.receive_data(f(TEXT, b"one") + f(TEXT, b"two") + f(CLOSE, close_payload(1001)))
    protocol.receive_data(b"")
    assert drain(protocol) == ["one", "two"]
    assert protocol.close_status == (1001, "")
    assert protocol.data_to_send() == b"", "there is nobody left to answer"


def test_answers_due_when_the_stream_ends_are_harmless():
    protocol = received(f(PING))
    protocol.receive_data(b"")
    protocol.data_to_send()
    assert protocol.state is State.CLOSED and not protocol.pending


def test_7_1_5_the_peers_code_outlives_the_end_of_the_stream():
    protocol = received(f(CLOSE, close_payload(4001, "mine")))
    protocol.data_to_send()
    protocol.receive_data(b"")
    assert protocol.close_status == (4001, "mine")


# To look at


def test_expected_is_what_is_worth_reading():
    protocol = server()
    assert protocol.decoder.expected == 0
    events_of(protocol, header(BINARY, 5000, key=KEY) + b"x" * 1000)
    assert protocol.decoder.expected == 4000
    events_of(protocol, b"x" * 3999)
    assert protocol.decoder.expected == 1
    assert len(events_of(protocol, b"x")) == 1
    assert protocol.decoder.expected == 0


@pytest.mark.parametrize("make", [server, client])
def test_states(make):
    protocol = make()
    assert protocol.state is State.OPEN and protocol.open and not protocol.lost and not protocol.pending
    assert protocol.close_received is None and protocol.failure is None and not protocol.close_sent
    assert protocol.latency is None and protocol.heard == 0
    assert protocol.close_status is None, "it has not ended"
    protocol.abort()
    assert protocol.close_status == (1006, None)


def test_a_close_can_be_checked_without_a_connection():
    check_close(1000, "why")
    check_close(1005, "")
    for code, reason in ((1004, ""), (2999, ""), (5000, ""), (1000, "\ud800")):
        with pytest.raises(ValueError):
            check_close(code, reason)


def test_a_violation_that_is_to_be_told_later():
    """Whoever reads ahead keeps it until what came before it has been received."""
    protocol = server()
    protocol.defers_failures = True
    assert events_of(protocol, f(TEXT, b"before"), f(3)) == ["before"]
    assert protocol.failure is None and protocol.violation is not None and protocol.open
    protocol.fail()
    assert protocol.failure is not None and protocol.failure[0] == 1002 and not protocol.open
    assert [seen.opcode for seen in told(protocol)] == [CLOSE]


def test_without_a_violation_there_is_no_failure():
    protocol = server()
    protocol.fail()
    assert protocol.failure is None and protocol.open and protocol.data_to_send() == b""
