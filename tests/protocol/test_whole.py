"""whole_message, sole_message and whole_frame, the short cuts in C, against the long way in Python: the same, or ``None``."""

import itertools

import pytest

from simple_websocket.protocol.frames import BINARY, TEXT, FrameDecoder, encode
from simple_websocket.protocol.messages import MessageAssembler
from simple_websocket.protocol.outbox import Outbox
from tests.support.wire import frame

from .wire import KEY, xor

speedups = pytest.importorskip("simple_websocket.protocol._speedups", reason="not built here")
SIZES = [0, 1, 7, 8, 9, 125, 126, 127, 128, 65535, 65536, 65537, 300_000]
NO_LIMIT = 1 << 40


def sample(size, opcode, masked):
    """A payload, its frame, and the mask bit."""
    payload = (b"0123456789abc" * (size // 13 + 1))[:size]
    return payload, frame(opcode, payload, masked=masked), 0x80 if masked else 0


def long_way(data, masked):
    """What the decoder and the assembler make of one whole frame."""
    assembler = MessageAssembler(None, None)
    decoder = FrameDecoder(masked, False, assembler.announce)
    decoder.feed(data)
    piece = decoder.next_piece()
    return None if piece is None else assembler.add(*piece)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", SIZES)
def test_a_whole_message(size, opcode, masked):
    payload, data, bit = sample(size, opcode, masked)
    message = speedups.whole_message(data, 0, bit, NO_LIMIT)
    assert message == long_way(data, masked) == (payload.decode() if opcode == TEXT else payload)
    assert speedups.whole_message(b"xyz" + data + b"next", 3, bit, size) == message
    assert size == 0 or speedups.whole_message(data, 0, bit, size - 1) is None
    for end in {end for end in (0, 1, 2, 3, 5, 9, len(data) - 1) if end < len(data)}:
        assert speedups.whole_message(data[:end], 0, bit, NO_LIMIT) is None
    assert speedups.whole_message(data, 0, bit ^ 0x80, NO_LIMIT) is None
    assert speedups.whole_message(data, len(data), bit, NO_LIMIT) is None


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", SIZES)
def test_a_sole_message(size, opcode, masked):
    _, data, bit = sample(size, opcode, masked)
    buffer = memoryview(bytearray(data + b"what was there before"))
    message = speedups.sole_message(buffer, len(data), bit, size)
    assert message == long_way(data, masked)
    assert type(message) is (str if opcode == TEXT else bytes)
    assert size == 0 or speedups.sole_message(buffer, len(data), bit, size - 1) is None
    for end in {-1, 0, 1, 2, 3, 5, 9, len(data) - 1, len(data) + 1, len(buffer)} - {len(data)}:
        assert speedups.sole_message(buffer, end, bit, NO_LIMIT) is None
    assert speedups.sole_message(buffer, len(data), bit ^ 0x80, NO_LIMIT) is None
    with pytest.raises(ValueError):
        speedups.sole_message(buffer, len(buffer) + 1, bit, NO_LIMIT)


@pytest.mark.parametrize("masked", [False, True])
def test_what_is_not_for_the_short_cut(masked):
    bit = 0x80 if masked else 0
    for first in set(range(256)) - {0x81, 0x82}:
        assert speedups.whole_message(bytes([first]) + frame(TEXT, b"abc", masked=masked)[1:], 0, bit, NO_LIMIT) is None
    for text in ("\u00e9", "a" * 7 + "\u20ac", "a" * 200 + "\u20ac"):
        assert speedups.whole_message(frame(TEXT, text.encode(), masked=masked), 0, bit, NO_LIMIT) is None
    rest = (KEY if masked else b"") + bytes(70_000)
    for size, length in itertools.product((0, 125, 126, 65535), (2, 8)):
        if length == 8 or size < 126:  # not the fewest bytes
            data = bytes([0x82, bit | (126 if length == 2 else 127)]) + size.to_bytes(length, "big") + rest
            assert speedups.whole_message(data, 0, bit, NO_LIMIT) is None
    for size in (1 << 63, (1 << 64) - 1, (1 << 63) - 1, 1 << 40):
        data = bytes([0x82, bit | 127]) + size.to_bytes(8, "big") + rest
        assert speedups.whole_message(data, 0, bit, NO_LIMIT) is None


@pytest.mark.parametrize("key", [KEY, b""], ids=["masked", "plain"])
@pytest.mark.parametrize("kind", [str, bytes])
@pytest.mark.parametrize("size", SIZES)
def test_a_whole_frame(size, kind, key):
    payload = (b"0123456789abc" * (size // 13 + 1))[:size]
    out = speedups.whole_frame(payload if kind is bytes else payload.decode(), key)
    if size > 65536:
        assert out is None
    else:
        plain = joined(encode(TEXT if kind is str else BINARY, payload, False))
        head = len(plain) - size
        mask_bit = 0x80 if key else 0
        assert out == plain[:1] + bytes([plain[1] | mask_bit]) + plain[2:head] + key + xor(payload, key or bytes(4))


def joined(out):
    outbox = Outbox()
    outbox.put(out)
    return b"".join(bytes(part) for part in outbox)


@pytest.mark.parametrize("data", ["\u00e9", "\ud800", bytearray(b"x"), memoryview(b"x"), 5, None])
def test_what_whole_frame_leaves_to_others(data):
    assert speedups.whole_frame(data, b"") is None


WRONG = [(), (b"x",), ("x", 0, 0, 1), (b"xx", "0", 0, 1), (b"xx", 0, None, 1), (b"xx", 0, 0, 1.5), (b"xx", 1 << 70, 0, 1)]


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_arguments_of_whole_message_crash_nothing(arguments):
    with pytest.raises((TypeError, OverflowError)):
        speedups.whole_message(*arguments)


@pytest.mark.parametrize("arguments", [*WRONG, (None, 0, 0, 1), (memoryview(b"1234")[::2], 2, 0, 1)])
def test_wrong_arguments_of_sole_message_crash_nothing(arguments):
    with pytest.raises((TypeError, OverflowError, BufferError)):
        speedups.sole_message(*arguments)


@pytest.mark.parametrize("position", [-1, 2, 100, 1 << 62])
def test_a_position_outside_is_nothing(position):
    assert speedups.whole_message(b"\x81\x00", position, 0, NO_LIMIT) is None


@pytest.mark.parametrize("arguments", [(), (b"x",), (b"x", b"abc"), (b"x", "abcd"), (b"x", None), (b"x", b"", b"")])
def test_wrong_arguments_of_whole_frame_crash_nothing(arguments):
    with pytest.raises(TypeError):
        speedups.whole_frame(*arguments)
