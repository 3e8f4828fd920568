"""messages.py: fragments, UTF-8 and size limits (RFC 6455 sections 5.4, 5.6, 8.1), seen through a whole connection."""

import tracemalloc

import pytest

from simple_websocket.errors import ProtocolViolation
from simple_websocket.protocol.messages import MessageAssembler

from .wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    RSV1,
    TEXT,
    Pong,
    Seen,
    client,
    deflated,
    drain,
    events_of,
    f,
    frame,
    header,
    parse,
    server,
    server_deflate,
)

BAD_UTF8 = {
    "lone continuation byte": b"\x80",
    "byte that never occurs": b"\xff",
    "overlong slash": b"\xc0\xaf",
    "overlong NUL in three bytes": b"\xe0\x80\x80",
    "surrogate": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "start of five bytes": b"\xf8\x88\x80\x80\x80",
    "character cut by another": b"\xe2\x82A",
}
GOOD_TEXT = "h\u00e9llo \u20ac \U0001f600 \ufffd \ufeff \0 \U0010ffff \ud7ff"


def fails(protocol, code, *chunks):
    events = events_of(protocol, *chunks)
    assert protocol.failure is not None, "the connection was not failed"
    assert protocol.failure[0] == code
    # Nothing more is accepted, and the peer is told why.
    assert events_of(protocol, f(TEXT, b"behind")) == []
    [close] = parse(protocol.data_to_send(), False)[-1:]
    assert (close.opcode, int.from_bytes(close.payload[:2], "big")) == (CLOSE, code)
    return events


def peak_of(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Section 5.4, fragmentation


def test_5_4_unfragmented():
    assert events_of(server(), f(TEXT, b"a") + f(BINARY, b"b") + f(TEXT) + f(BINARY)) == ["a", b"b", "", b""]


@pytest.mark.parametrize("opcode, expected", [(TEXT, "abcdef"), (BINARY, b"abcdef")])
def test_5_4_fragments(opcode, expected):
    three = f(opcode, b"ab", fin=False) + f(CONTINUATION, b"cd", fin=False) + f(CONTINUATION, b"ef")
    assert events_of(server(), three) == [expected]
    # Also a second time, and of empty fragments.
    empty = f(opcode, fin=False) + f(CONTINUATION, b"abcdef", fin=False) + f(CONTINUATION, fin=False) + f(CONTINUATION)
    assert events_of(server(), three + empty + three) == [expected] * 3


def test_5_4_line_ends_are_left_alone():
    for text in ("a\r\nb", "\r", "\n\r\n"):
        stream = b"".join(f(CONTINUATION if i else TEXT, text[i : i + 1].encode(), fin=False) for i in range(len(text)))
        assert events_of(server(), f(TEXT, text.encode()) + stream + f(CONTINUATION)) == [text, text]


def test_5_4_message_of_empty_fragments():
    assert events_of(server(), f(TEXT, fin=False) + f(CONTINUATION)) == [""]
    assert events_of(server(), f(BINARY, fin=False) + f(CONTINUATION)) == [b""]


def test_5_4_nothing_is_reported_before_the_last_fragment():
    protocol = server()
    assert events_of(protocol, f(TEXT, b"ab", fin=False), f(CONTINUATION, b"cd", fin=False)) == []
    assert events_of(protocol, f(CONTINUATION, b"ef")) == ["abcdef"]


def test_5_4_control_frames_inside_a_fragmented_message():
    protocol = server()
    stream = f(TEXT, b"ab", fin=False) + f(PING, b"1") + f(CONTINUATION, b"cd", fin=False) + f(PONG, b"2")
    assert events_of(protocol, stream + f(PING, b"3") + f(CONTINUATION, b"ef")) == [Pong(b"2"), "abcdef"]
    assert parse(protocol.data_to_send(), False) == [Seen(PONG, b"1"), Seen(PONG, b"3")]


def test_5_4_close_inside_a_fragmented_message():
    protocol = server()
    assert events_of(protocol, f(TEXT, b"ab", fin=False) + f(CLOSE, b"\x03\xe8") + f(CONTINUATION, b"cd")) == []
    assert protocol.close_received == (1000, "")


@pytest.mark.parametrize("fin", [True, False])
def test_5_4_continuation_outside_a_message(fin):
    fails(server(), 1002, f(CONTINUATION, b"a", fin=fin))
    assert fails(server(), 1002, f(TEXT, b"whole") + f(CONTINUATION, b"a", fin=fin)) == ["whole"]
    fails(server(), 1002, f(BINARY, b"a", fin=False) + f(CONTINUATION, b"b") + f(CONTINUATION, b"c", fin=fin))


@pytest.mark.parametrize("first", [TEXT, BINARY])
@pytest.mark.parametrize("second", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_5_4_new_message_inside_a_fragmented_one(first, second, fin):
    fails(server(), 1002, f(first, b"a", fin=False) + f(second, b"b", fin=fin))


# Sections 5.6 and 8.1, UTF-8


def test_8_1_text_of_every_length_of_character():
    assert events_of(server(), f(TEXT, GOOD_TEXT.encode())) == [GOOD_TEXT]


def test_8_1_characters_split_between_fragments_and_segments():
    data = GOOD_TEXT.encode()
    for cut in range(len(data) + 1):
        stream = f(TEXT, data[:cut], fin=False) + f(PING) + f(CONTINUATION, data[cut:])
        assert events_of(server(), stream) == [GOOD_TEXT]
    whole = f(TEXT, data)
    for cut in range(1, len(whole)):
        assert events_of(server(), whole[:cut], whole[cut:]) == [GOOD_TEXT]
    assert events_of(server(), *(bytes([byte]) for byte in whole)) == [GOOD_TEXT]


@pytest.mark.parametrize("bad", BAD_UTF8.values(), ids=BAD_UTF8)
def test_8_1_wrong_utf8_in_one_frame(bad):
    fails(server(), 1007, f(TEXT, b"good " + bad + b" good"))


@pytest.mark.parametrize("bad", BAD_UTF8.values(), ids=BAD_UTF8)
def test_8_1_wrong_utf8_fails_before_the_frame_is_complete(bad):
    protocol = server()
    events_of(protocol, header(TEXT, 5000, key=b"\0\0\0\0") + b"good ")
    assert protocol.failure is None
    fails(protocol, 1007, bad + b"A" * 3)


@pytest.mark.parametrize("bad", BAD_UTF8.values(), ids=BAD_UTF8)
def test_8_1_wrong_utf8_fails_before_the_message_is_complete(bad):
    for cut in range(len(bad) + 1):
        fails(server(), 1007, f(TEXT, b"good" + bad[:cut], fin=False) + f(CONTINUATION, bad[cut:] + b"AAA", fin=False))


@pytest.mark.parametrize("cut", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"])
def test_8_1_message_ends_inside_a_character(cut):
    fails(server(), 1007, f(TEXT, b"a" + cut))
    fails(server(), 1007, f(TEXT, b"a" + cut, fin=False) + f(CONTINUATION))
    protocol = server()
    assert events_of(protocol, f(TEXT, b"a" + cut, fin=False)) == []
    assert protocol.failure is None, "the rest of the character may still come"


def test_8_1_a_character_does_not_go_on_in_the_next_message():
    fails(server(), 1007, f(TEXT, b"\xe2\x82"), f(TEXT, b"\xac"))


def test_8_1_binary_may_hold_anything():
    assert events_of(server(), f(BINARY, b"\xff\xc0\x80")) == [b"\xff\xc0\x80"]


# max_message_size


@pytest.mark.parametrize("opcode, kind", [(TEXT, str), (BINARY, bytes)])
@pytest.mark.parametrize("limit", [0, 1, 125, 126, 70000])
def test_limit_is_the_largest_size_that_passes(opcode, kind, limit):
    [message] = events_of(server(limit), f(opcode, b"m" * limit))
    assert isinstance(message, kind) and len(message) == limit
    fails(server(limit), 1009, f(opcode, b"m" * (limit + 1)))
    protocol = server(limit)
    data = f(opcode, b"m" * limit)
    assert len(events_of(protocol, data[:9], data[9:]) if len(data) > 9 else events_of(protocol, data)) == 1


def test_limit_counts_bytes_not_characters():
    assert events_of(server(9), f(TEXT, "€€€".encode())) == ["€€€"]
    fails(server(8), 1009, f(TEXT, "€€€".encode()))


def test_limit_is_checked_on_the_header_alone():
    fails(server(1000), 1009, header(BINARY, 1001, key=KEY))
    fails(server(10), 1009, header(BINARY, 11, key=KEY))


@pytest.mark.parametrize("limit", [1000, None], ids=["limited", "unlimited"])
def test_a_lying_length_allocates_nothing(limit):
    protocol = server(limit)
    data = header(BINARY, 2**62, key=KEY) + b"few bytes"

    def feed():
        events_of(protocol, data)
        assert protocol.decoder.expected == (0 if limit else 2**62 - 9)

    assert peak_of(feed) < 50_000


def test_limit_on_fragments():
    assert events_of(server(6), f(TEXT, b"abc", fin=False) + f(CONTINUATION, b"def")) == ["abcdef"]
    fails(server(5), 1009, f(TEXT, b"abc", fin=False) + f(CONTINUATION, b"def", fin=False))
    # Announced, before the payload is there.
    fails(server(5), 1009, f(TEXT, b"abc", fin=False) + header(CONTINUATION, 3, key=KEY))
    fails(server(500), 1009, f(TEXT, b"abc", fin=False) + header(CONTINUATION, 498, fin=False, key=KEY))


def test_limit_starts_again_with_each_message():
    stream = f(TEXT, b"abc", fin=False) + f(CONTINUATION, b"def")
    assert events_of(server(6), stream * 5 + f(BINARY, b"123456") + stream) == ["abcdef"] * 5 + [b"123456", "abcdef"]


def test_limit_does_not_count_control_frames():
    stream = f(TEXT, b"ab", fin=False) + f(PING, b"p" * 125) + f(PONG, b"q" * 125) + f(CONTINUATION, b"cd")
    assert events_of(server(4), stream) == [Pong(b"q" * 125), "abcd"]


def test_no_limit_by_default():
    assert len(events_of(server(), f(BINARY, bytes(3_000_000)))[0]) == 3_000_000


@pytest.mark.parametrize("compressed", [False, True])
def test_endless_empty_fragments_do_not_pile_up(compressed):
    """A message that never grows past the limit must not grow in memory either; compressed, its frames have bytes that count."""
    protocol = server(10**6, server_deflate() if compressed else None)
    empty_block = b"\x00" + b"\x00\x00\xff\xff"
    part = f(CONTINUATION, empty_block if compressed else b"", fin=False) * 1000

    def feed():
        events_of(protocol, f(BINARY, fin=False, rsv=RSV1 if compressed else 0))
        for _ in range(100):
            assert events_of(protocol, part) == []

    assert peak_of(feed) < 200_000
    assert protocol.failure is None
    assert events_of(protocol, f(CONTINUATION, b"" if not compressed else b"\x00")) == [b""]


# max_message_size of compressed messages


def test_limit_counts_inflated_bytes():
    payload = deflated(b"a" * 1000)
    assert events_of(server(1000, server_deflate()), f(BINARY, payload, rsv=RSV1)) == [b"a" * 1000]
    fails(server(999, server_deflate()), 1009, f(BINARY, payload, rsv=RSV1))


def test_limit_counts_inflated_bytes_of_all_fragments():
    payload = deflated(b"a" * 1000)
    for cut in range(len(payload) + 1):
        stream = f(TEXT, payload[:cut], fin=False, rsv=RSV1) + f(PING) + f(CONTINUATION, payload[cut:])
        assert events_of(server(1000, server_deflate()), stream) == ["a" * 1000]
        fails(server(999, server_deflate()), 1009, stream)


@pytest.mark.parametrize("limit", [1000, 100_000])
def test_a_compression_bomb_is_not_inflated(limit):
    bomb = f(BINARY, deflated(bytes(64 * 1024 * 1024)), rsv=RSV1)
    protocol = server(limit, server_deflate())
    assert len(bomb) < 70_000
    peak = peak_of(lambda: fails(protocol, 1009, bomb))
    assert peak < 3 * limit + 4 * len(bomb) + 100_000


def test_a_compression_bomb_in_small_segments_is_not_inflated():
    bomb = f(BINARY, deflated(bytes(64 * 1024 * 1024)), rsv=RSV1)
    protocol = server(70_000, server_deflate())
    chunks = [bomb[i : i + 50] for i in range(0, len(bomb), 50)]
    assert peak_of(lambda: fails(protocol, 1009, *chunks)) < 500_000


def test_compressed_frame_that_is_larger_than_the_limit_can_inflate_to_is_refused_on_its_header():
    fails(server(1000, server_deflate()), 1009, header(BINARY, 2**62, rsv=RSV1, key=KEY))
    fails(server(1000, server_deflate()), 1009, header(BINARY, 100_000, rsv=RSV1, key=KEY))
    stream = f(BINARY, deflated(b"abc"), fin=False, rsv=RSV1) + header(CONTINUATION, 100_000, key=KEY)
    fails(server(1000, server_deflate()), 1009, stream)


def test_without_a_limit_a_compressed_message_may_be_of_any_size():
    [message] = events_of(server(None, server_deflate()), f(BINARY, deflated(bytes(5_000_000)), rsv=RSV1))
    assert message == bytes(5_000_000)


def test_wrong_utf8_in_a_compressed_message_fails_before_its_end():
    payload = deflated(b"good \xff")
    fails(server(None, server_deflate()), 1007, f(TEXT, payload + b"\x00\x00\xff\xff", fin=False, rsv=RSV1))
    fails(server(None, server_deflate()), 1007, f(TEXT, payload, rsv=RSV1))


def test_the_client_role_has_the_same_limits():
    protocol = client(5)
    assert events_of(protocol, frame(TEXT, b"12345")) == ["12345"]
    protocol.receive_data(header(TEXT, 2**62))
    assert drain(protocol) == []
    assert protocol.failure == (1009, "message of more than 5 bytes")


# On its own


def test_add_checks_the_limit_of_what_was_never_announced():
    assembler = MessageAssembler(3, None)
    assert assembler.add(BINARY, False, True, b"abc", True) == b"abc"
    with pytest.raises(ProtocolViolation) as caught:
        assembler.add(BINARY, False, True, b"abcd", True)
    assert caught.value.code == 1009
