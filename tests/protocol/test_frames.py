"""frames.py: the wire format, RFC 6455 section 5."""

import pytest

from simple_websocket.errors import ProtocolViolation
from simple_websocket.protocol import frames
from simple_websocket.protocol.frames import FrameDecoder, encode

from .wire import BINARY, CLOSE, CONTINUATION, KEY, PING, PONG, RSV1, RSV2, RSV3, TEXT, Seen, frame, header, joined, parse

DATA = [CONTINUATION, TEXT, BINARY]
CONTROL = [CLOSE, PING, PONG]
ROLES = [pytest.param(True, id="from a client"), pytest.param(False, id="from a server")]
SIZES = [0, 1, 2, 124, 125, 126, 127, 65535, 65536, 65537]


class Reader:
    """A decoder, and what it said."""

    def __init__(self, masked=True, compressed=False):
        self.announced = []
        self.decoder = FrameDecoder(masked, compressed, lambda *what: self.announced.append(what))

    def pieces(self, *chunks):
        found = []
        for chunk in chunks:
            self.decoder.feed(chunk)
            while (piece := self.decoder.next_piece()) is not None:
                found.append(piece)
        return found


def whole(pieces):
    """Pieces put together to frames: (opcode, rsv1, fin, payload)."""
    found, payload = [], b""
    for opcode, rsv1, fin, part, ends in pieces:
        payload += part
        if ends:
            found.append((opcode, rsv1, fin, payload))
            payload = b""
    assert not payload, "the last frame did not end"
    return found


def refused(masked, compressed, data):
    """The violation, which must be 1002 and not depend on how the bytes were split."""
    for chunks in ([data], [data[i : i + 1] for i in range(len(data))]):
        with pytest.raises(ProtocolViolation) as caught:
            Reader(masked, compressed).pieces(*chunks)
        assert caught.value.code == 1002
    return caught.value.message


# Section 5.7, the examples


@pytest.mark.parametrize(
    "masked, hexed, frames_",
    [
        (False, "8105 48656c6c6f", [(TEXT, False, True, b"Hello")]),
        (True, "8185 37fa213d 7f9f4d5158", [(TEXT, False, True, b"Hello")]),
        (False, "0103 48656c 8002 6c6f", [(TEXT, False, False, b"Hel"), (CONTINUATION, False, True, b"lo")]),
        (False, "8905 48656c6c6f", [(PING, False, True, b"Hello")]),
        (True, "8a85 37fa213d 7f9f4d5158", [(PONG, False, True, b"Hello")]),
        (False, "827e0100" + "61" * 256, [(BINARY, False, True, b"a" * 256)]),
        (False, "827f0000000000010000" + "61" * 65536, [(BINARY, False, True, b"a" * 65536)]),
    ],
    ids=["text", "masked text", "fragments", "ping", "masked pong", "256 bytes", "64 KiB"],
)
def test_section_5_7_examples(masked, hexed, frames_):
    assert whole(Reader(masked).pieces(bytes.fromhex(hexed))) == frames_


def test_section_5_7_encoded():
    assert encode(TEXT, b"Hello", False) == bytes.fromhex("810548656c6c6f")
    assert encode(PING, b"Hello", False) == bytes.fromhex("890548656c6c6f")
    assert encode(BINARY, bytes(256), False) == bytes.fromhex("827e0100") + bytes(256)
    assert joined(encode(BINARY, bytes(65536), False)) == bytes.fromhex("827f0000000000010000") + bytes(65536)


# Section 5.2, base framing


@pytest.mark.parametrize("masked", ROLES)
@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("opcode", DATA + CONTROL)
def test_5_2_defined_opcodes(masked, fin, opcode):
    key = KEY if masked else None
    data = frame(opcode, b"abc", fin=fin, key=key)
    if opcode in CONTROL and not fin:
        assert "fragmented" in refused(masked, False, data)
    else:
        assert whole(Reader(masked).pieces(data)) == [(opcode, False, fin, b"abc")]


@pytest.mark.parametrize("masked", ROLES)
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_5_2_reserved_opcodes(masked, compressed, opcode):
    assert "opcode" in refused(masked, compressed, frame(opcode, b"abc", key=KEY if masked else None))


@pytest.mark.parametrize("masked", ROLES)
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("size", [0, 5, 300])
@pytest.mark.parametrize("opcode", DATA + CONTROL)
@pytest.mark.parametrize("rsv", [r1 | r2 | r3 for r1 in (0, RSV1) for r2 in (0, RSV2) for r3 in (0, RSV3)])
def test_5_2_reserved_bits(masked, compressed, size, opcode, rsv):
    if opcode in CONTROL and size > 125:
        size = 125
    data = frame(opcode, b"a" * size, rsv=rsv, key=KEY if masked else None)
    if not rsv or (rsv == RSV1 and compressed and opcode in (TEXT, BINARY)):
        assert whole(Reader(masked, compressed).pieces(data)) == [(opcode, rsv == RSV1, True, b"a" * size)]
    else:
        assert "reserved" in refused(masked, compressed, data)


@pytest.mark.parametrize("masked", ROLES)
@pytest.mark.parametrize("size", SIZES)
def test_5_2_payload_lengths_in(masked, size):
    payload = (bytes(range(251)) * (size // 251 + 1))[:size]
    data = frame(BINARY, payload, key=KEY if masked else None)
    tail = frame(PING, b"behind", key=KEY if masked else None)
    expected = [(BINARY, False, True, payload), (PING, False, True, b"behind")]
    assert whole(Reader(masked).pieces(data + tail)) == expected
    step = max(1, size // 50) | 1  # odd, so that the masking key is turned by every remainder
    chunks = [(data + tail)[i : i + step] for i in range(0, len(data + tail), step)]
    assert whole(Reader(masked).pieces(*chunks)) == expected


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_5_2_payload_lengths_out(masked, size):
    payload = (bytes(range(251)) * (size // 251 + 1))[:size]
    out = encode(BINARY, payload, masked)
    assert parse(joined(out), masked) == [Seen(BINARY, payload)]
    # Joined behind its header as long as that copies little.
    assert isinstance(out, bytes) is (size <= 65536)
    if isinstance(out, tuple) and not masked:
        assert out[1] is payload


@pytest.mark.parametrize("masked", ROLES)
@pytest.mark.parametrize("form, size", [(16, 0), (16, 125), (64, 0), (64, 125), (64, 126), (64, 65535)])
def test_5_2_length_not_in_the_fewest_bytes(masked, form, size):
    assert "fewest" in refused(masked, False, header(BINARY, size, key=KEY if masked else None, form=form))


@pytest.mark.parametrize("masked", ROLES)
@pytest.mark.parametrize("size", [2**63, 2**64 - 1])
def test_5_2_length_with_the_most_significant_bit(masked, size):
    assert "most significant" in refused(masked, False, header(BINARY, size, key=KEY if masked else None))


@pytest.mark.parametrize("masked", ROLES)
def test_5_2_largest_length_is_only_announced(masked):
    reader = Reader(masked)
    assert reader.pieces(header(BINARY, 2**63 - 1, key=KEY if masked else None)) == []
    assert reader.announced == [(BINARY, False, 2**63 - 1)]
    assert reader.decoder.expected == 2**63 - 1


# Sections 5.1 and 5.3, masking


@pytest.mark.parametrize("opcode", DATA + CONTROL)
@pytest.mark.parametrize("size", [0, 5, 125, 126, 65536])
def test_5_1_a_client_must_mask(opcode, size):
    if opcode in DATA or size <= 125:
        assert "not masked" in refused(True, False, header(opcode, size))


@pytest.mark.parametrize("opcode", DATA + CONTROL)
@pytest.mark.parametrize("size", [0, 5, 125, 126, 65536])
def test_5_1_a_server_must_not_mask(opcode, size):
    if opcode in DATA or size <= 125:
        assert "masked by a server" in refused(False, False, header(opcode, size, key=KEY))


def test_5_3_each_frame_has_its_own_key():
    out = [encode(TEXT, b"Hello", True) for _ in range(20)]
    assert {parse(data, True)[0] for data in out} == {Seen(TEXT, b"Hello")}
    assert len({data[2:6] for data in out}) > 18


@pytest.mark.parametrize("size", [4, 5, 6, 7, 700])
def test_5_3_key_goes_on_where_the_previous_piece_ended(size):
    payload = bytes(i % 256 for i in range(size))
    data = frame(BINARY, payload, key=b"\x01\x02\x04\x08")
    for first in range(6, len(data)):
        for second in range(first, len(data), max(1, size // 7)):
            pieces = Reader().pieces(data[:first], data[first:second], data[second:])
            assert whole(pieces) == [(BINARY, False, True, payload)]


# Section 5.5, control frames


@pytest.mark.parametrize("masked", ROLES)
@pytest.mark.parametrize("opcode", CONTROL)
@pytest.mark.parametrize("form", [16, 64])
def test_5_5_control_frames_have_at_most_125_bytes(masked, opcode, form):
    key = KEY if masked else None
    assert whole(Reader(masked).pieces(frame(opcode, b"c" * 125, key=key))) == [(opcode, False, True, b"c" * 125)]
    # Refused at the second byte: the length itself is never waited for.
    assert "125" in refused(masked, False, header(opcode, 126 if form == 16 else 65536, form=form, key=key)[:2])


@pytest.mark.parametrize("masked", ROLES)
def test_5_5_a_control_frame_comes_in_one_piece(masked):
    data = frame(PING, b"p" * 125, key=KEY if masked else None)
    reader = Reader(masked)
    for i in range(len(data) - 1):
        assert reader.pieces(data[i : i + 1]) == []
        assert reader.decoder.expected == 0
    assert reader.pieces(data[-1:]) == [(PING, False, True, b"p" * 125, True)]
    assert reader.announced == []


# Pieces


@pytest.mark.parametrize("masked", ROLES)
def test_payload_is_handed_on_as_it_arrives(masked):
    data = frame(TEXT, b"abcdef", fin=False, key=KEY if masked else None)
    start = len(data) - 6
    reader = Reader(masked)
    assert reader.pieces(data[: start + 2]) == [(TEXT, False, False, b"ab", False)]
    assert reader.announced == [(TEXT, False, 6)]
    assert reader.decoder.expected == 4
    assert reader.pieces(data[start + 2 : start + 5]) == [(TEXT, False, False, b"cde", False)]
    assert reader.pieces(data[start + 5 :]) == [(TEXT, False, False, b"f", True)]
    assert reader.decoder.expected == 0


@pytest.mark.parametrize("masked", ROLES)
def test_expected_counts_what_was_fed_but_not_decoded(masked):
    data = frame(BINARY, b"x" * 1000, key=KEY if masked else None)
    reader = Reader(masked)
    reader.pieces(data[:100])
    start = len(data) - 1000
    assert reader.decoder.expected == 1000 - (100 - start)
    reader.decoder.feed(data[100:200])
    assert reader.decoder.expected == 1000 - (200 - start)
    reader.decoder.feed(data[200:] + frame(PING, key=KEY if masked else None))
    assert reader.decoder.expected == 0


def test_buffered_and_discard():
    reader = Reader()
    reader.decoder.feed(frame(TEXT, b"one", key=KEY) + frame(TEXT, b"two", key=KEY))
    assert reader.decoder.buffered
    assert reader.decoder.next_piece() == (TEXT, False, True, b"one", True)
    assert reader.decoder.buffered
    reader.decoder.discard()
    assert not reader.decoder.buffered
    assert reader.decoder.next_piece() is None
    assert reader.pieces(frame(TEXT, b"three", key=KEY)) == [(TEXT, False, True, b"three", True)]


def test_discard_in_the_middle_of_a_frame():
    reader = Reader()
    reader.pieces(header(BINARY, 1000, key=KEY) + b"some")
    reader.decoder.discard()
    assert reader.decoder.expected == 0
    assert reader.pieces(frame(TEXT, b"next", key=KEY)) == [(TEXT, False, True, b"next", True)]


@pytest.mark.parametrize("masked", ROLES)
@pytest.mark.parametrize("size", [0, 3, 130, 66000])
def test_a_frame_split_anywhere_in_its_header(masked, size):
    payload = b"z" * size
    data = frame(BINARY, payload, key=KEY if masked else None)
    for cut in range(len(data) - size + 1):
        reader = Reader(masked)
        chunks = [chunk for chunk in (data[:cut], data[cut:]) if chunk]
        assert whole(reader.pieces(*chunks)) == [(BINARY, False, True, payload)]
        assert len(reader.announced) <= 1


def test_the_announcement_can_refuse_the_frame():
    def refuse(opcode, rsv1, size):
        raise ProtocolViolation(1009, f"{size}")

    decoder = FrameDecoder(True, False, refuse)
    decoder.feed(header(BINARY, 2**62, key=KEY))
    with pytest.raises(ProtocolViolation, match=str(2**62)):
        decoder.next_piece()


def test_many_frames_in_one_segment():
    payloads = [b"%d" % i for i in range(500)]
    data = b"".join(frame(TEXT, payload, key=KEY) for payload in payloads)
    assert [piece[3] for piece in Reader().pieces(data)] == payloads


def test_public_constants():
    assert [frames.CONTINUATION, frames.TEXT, frames.BINARY, frames.CLOSE, frames.PING, frames.PONG] == [0, 1, 2, 8, 9, 10]
    assert (frames.RSV1, frames.MAX_CONTROL_PAYLOAD) == (0x40, 125)


def test_an_http_response_inside_the_websocket_is_called_one():
    reader = Reader(False)
    with pytest.raises(ProtocolViolation, match="HTTP response") as error:
        reader.pieces(b"HTTP/1.1 500 INTERNAL SERVER ERROR\r\n")
    assert error.value.code == 1002
