"""The frame codec: the only file that knows the wire format of RFC 6455 section 5.

`FrameDecoder` belongs to the inbound half of a connection (read lock), `encode` is a pure function.

A *piece* is a run of payload of one frame, as far as it has arrived: data frames are handed on piece by piece, so that
wrong UTF-8 and too much inflated data are found before the frame is complete; control frames come in one piece.  Large
payloads in which nothing can be wrong, binary data and ASCII text, are collected in `FrameDecoder.buffer`, where there is C.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any

from ..errors import CloseReason, ProtocolViolation
from .masking import LargePayload, PayloadBuffer, apply_mask, new_key, sole_message, unmask, whole_frame, whole_message
from .outbox import Frame

__all__ = [
    "BINARY", "CLOSE", "CONTINUATION", "MAX_CONTROL_PAYLOAD", "PING", "PONG", "RSV1", "TEXT", "FrameDecoder",
    "Piece", "encode", "encode_message",
]  # fmt: skip

CONTINUATION, TEXT, BINARY = 0x0, 0x1, 0x2
CLOSE, PING, PONG = 0x8, 0x9, 0xA
RSV1 = 0x40
MAX_CONTROL_PAYLOAD = 125

_FIN = 0x80
_MASK = 0x80
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})

#: (opcode, rsv1, fin, payload, whether the frame ends here)
Piece = tuple[int, bool, bool, bytes, bool]

# Payloads above this size are written beside their header instead of being copied behind it.
_LARGE = 64 * 1024

# Payloads from this size on are collected in a buffer.
_COLLECTED = 8 * 1024

# What is read at once otherwise, so that a header which lies about its payload costs no more.
_MAX_READ = 1024 * 1024


# Of the short frames that a server sends, which are nearly all there are.
_SHORT_HEADERS = {
    first: [bytes((first, size)) for size in range(MAX_CONTROL_PAYLOAD + 1)]
    for first in (_FIN | rsv1 | opcode for rsv1 in (0, RSV1) for opcode in sorted(_OPCODES))
}


def encode(opcode: int, payload: bytes | str, masked: bool, rsv1: int = 0) -> Frame:
    """Return one final frame: its bytes, or header and payload apart when joining them would copy much.

    :param opcode: one of the constants of this module.
    :param payload: payload data, unmasked; text has more than `_LARGE` ASCII characters.
    :param masked: whether to mask it, as a client must.
    :param rsv1: `RSV1` when the payload is compressed.  Default: 0.
    """
    size = len(payload)
    first = _FIN | rsv1 | opcode
    if size > _LARGE:
        return _large(first, payload, masked)
    assert isinstance(payload, bytes)
    if size <= MAX_CONTROL_PAYLOAD and not masked:
        return _SHORT_HEADERS[first][size] + payload
    mask_bit = _MASK if masked else 0
    if size < 126:
        header = bytes((first, mask_bit | size))
    elif size < 65536:
        header = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        header = struct.pack("!BBQ", first, mask_bit | 127, size)
    if masked:
        key = new_key()
        header += key
        payload = apply_mask(payload, key)
    return header + payload


def encode_message(data: str | bytes, masked: bool) -> Frame:
    """Return one final frame with a whole message, not compressed.

    :raises UnicodeEncodeError: the text has lone surrogates, which UTF-8 cannot express.
    """
    if whole_frame is not None and len(data) <= _LARGE:
        frame = whole_frame(data, new_key() if masked else b"")
        if frame is not None:
            return frame
    if isinstance(data, bytes):
        return encode(BINARY, data, masked)
    if len(data) > _LARGE and data.isascii():
        return encode(TEXT, data, masked)
    return encode(TEXT, data.encode(), masked)


def _large(first: int, payload: bytes | str, masked: bool) -> Frame:
    header = struct.pack("!BBQ", first, (_MASK if masked else 0) | 127, len(payload))
    if masked:
        key = new_key()
        return header + key, LargePayload(payload, key)
    return header, LargePayload(payload, b"") if isinstance(payload, str) else payload


class FrameDecoder:
    """Turns received bytes into pieces of frames, and refuses what RFC 6455 section 5 forbids.

    :param masked: whether the peer must mask, which a client must and a server must not (section 5.1).
    :param compressed: whether RSV1 has a meaning, because permessage-deflate was negotiated.
    :param announce: called as ``announce(opcode, rsv1, payload_length)`` when the header of a larger data frame has been
        read, before any of its payload is; returns whether the payload may be collected, may raise `ProtocolViolation`.
    :param limit: the most bytes of a message from `next_whole`.  Default ``None``: no limit.
    """

    __slots__ = (
        "_announce", "_collected", "_data", "_fin", "_header", "_key", "_kinds", "_left", "_limit", "_mask_bit", "_opcode",
        "_pos", "_rsv1", "_rsv_allowed", "buffer", "exhausted",
    )  # fmt: skip

    def __init__(
        self, masked: bool, compressed: bool, announce: Callable[[int, bool, int], bool], limit: int | None = None
    ) -> None:
        self._mask_bit = _MASK if masked else 0
        self._limit = sys.maxsize if limit is None else limit
        self._header = 6 if masked else 2  # of a short frame, in bytes
        self._rsv_allowed = RSV1 if compressed else 0
        self._kinds = _KINDS_COMPRESSED if compressed else _KINDS_PLAIN
        self._announce = announce
        self._data = b""
        self._pos = 0
        # The data frame whose payload is arriving; _left is 0 between frames.
        self._left = 0
        self._opcode = 0
        self._rsv1 = False
        self._fin = False
        self._collected = False
        self._key = b""
        #: Whether there is nothing to decode before more is fed.
        self.exhausted = True
        #: A `PayloadBuffer`: where a large payload that is arriving goes.  Bytes may be read into it, and fed as their number.
        self.buffer: Any = None

    @property
    def expected(self) -> int:
        """Payload bytes of the current data frame that have not arrived yet."""
        if not self._left:
            return 0
        return max(0, self._left - (len(self._data) - self._pos) - (self.buffer.filled if self.buffer else 0))

    def place(self, least: int) -> Any:
        """Return what to read into: the buffer, or how many bytes are worth taking at once, `least` of them or more."""
        if not self._left:
            return least
        return self.buffer or max(least, min(self.expected, _MAX_READ))

    @property
    def buffered(self) -> bool:
        """Whether bytes are waiting to be decoded."""
        return self._pos < len(self._data)

    def span(self, data: memoryview) -> int:
        """Return how much of these bytes, which will be fed next, is the rest of one frame: it is decoded in one go."""
        if self._left or self._pos < len(self._data) or len(data) < 10:
            return self.expected
        size = data[1] & 0x7F
        if size < 126:
            return 0
        length = 2 if size == 126 else 8
        return 2 + length + (4 if self._mask_bit else 0) + int.from_bytes(data[2 : 2 + length], "big")

    def feed(self, data: bytes | int) -> None:
        """Take received bytes, or the number of those that have been read into the buffer."""
        if isinstance(data, int):
            self.buffer.received(data)
            self.exhausted = not self.buffer.ready
            return
        if self._pos == len(self._data):
            self._data = data
        else:
            # At most an incomplete header or control frame is left over, so this copies little.
            self._data = self._data[self._pos :] + data
        self._pos = 0
        self.exhausted = False

    def discard(self) -> None:
        """Forget everything that was not decoded."""
        self._run_out()
        self._left = 0
        self.buffer = None

    def next_whole(self) -> str | bytes | None:
        """Return the next message when it is all of one frame, as nearly every message is; ``None``: see `next_piece`.

        Only when no message is in progress.
        """
        if whole_message is None or self._left:
            return None
        message = whole_message(self._data, self._pos, self._mask_bit, self._limit)
        if message is not None:
            size = len(message)
            self._pos += size + (self._header if size < 126 else self._header + (2 if size < 65536 else 8))
            if self._pos == len(self._data):
                self._data, self._pos, self.exhausted = b"", 0, True  # as in _run_out, which would cost a tenth of all this
        return message

    def sole_message(self, buffer: bytes | memoryview, size: int) -> str | bytes | None:
        """Return the message that the first `size` of these bytes are, when that is all of one frame, and nothing else.

        Otherwise nothing is taken.  Only when no message is in progress.
        """
        if sole_message is None or self._left or not self.exhausted:
            return None
        return sole_message(buffer, size, self._mask_bit, self._limit)

    def _run_out(self) -> None:
        self._data, self._pos = b"", 0  # what was read is not kept while nothing comes
        self.exhausted = True

    def next_piece(self) -> Piece | None:
        """Return the next piece, or ``None`` when more bytes are needed.

        :raises ProtocolViolation: the peer broke RFC 6455 section 5.
        """
        if self._left:
            return self._next_of_payload()
        data = self._data
        pos = self._pos
        if len(data) - pos < 2:
            if pos == len(data):
                self._run_out()
            return None
        # A complete frame with a short payload is nearly every frame there is.
        mask_bit = self._mask_bit
        size = data[pos + 1] - mask_bit
        if 0 <= size < 126:
            kind = self._kinds.get(data[pos])
            if kind is not None:
                start = pos + 6 if mask_bit else pos + 2
                end = start + size
                if end <= len(data):
                    self._pos = end
                    opcode, rsv1, fin = kind
                    payload = unmask(data, start, end) if mask_bit else data[start:end]
                    return opcode, rsv1, fin, payload, True
        return self._next_of_header()

    def _next_of_header(self) -> Piece | None:
        data, pos = self._data, self._pos
        first, second = data[pos], data[pos + 1]
        opcode = first & 0x0F
        fin = first & _FIN != 0
        size = second & 0x7F
        control = opcode & 0x08
        if data.startswith(b"HTTP/1.", pos):
            raise _violation("an HTTP response in the WebSocket: the server's handler failed, or returned without close()")
        if opcode not in _OPCODES:
            raise _violation(f"invalid opcode {opcode:#x}")
        if control and not fin:
            raise _violation("fragmented control frame")
        if control and size > MAX_CONTROL_PAYLOAD:
            raise _violation("control frame with more than 125 bytes of payload")
        start = pos + 2
        if size == 126:
            if len(data) < start + 2:
                return None
            size = data[start] << 8 | data[start + 1]
            start += 2
            if size < 126:
                raise _violation("payload length not encoded in the fewest bytes")
        elif size == 127:
            if len(data) < start + 8:
                return None
            size = int.from_bytes(data[start : start + 8], "big")
            start += 8
            if size < 65536:
                raise _violation("payload length not encoded in the fewest bytes")
            if size >> 63:
                raise _violation("payload length with the most significant bit set")
        allowed = 0 if control or opcode == CONTINUATION else self._rsv_allowed
        if first & 0x70 & ~allowed:
            raise _violation("reserved bit set")
        if second & _MASK != self._mask_bit:
            raise _violation("frame not masked" if self._mask_bit else "frame masked by a server")
        key = b""
        if self._mask_bit:
            if len(data) < start + 4:
                return None
            key = data[start : start + 4]
            start += 4
        rsv1 = first & RSV1 != 0
        if control:
            return None  # it comes in one piece, which is not complete
        self._collected = self._announce(opcode, rsv1, size) and size >= _COLLECTED and PayloadBuffer is not None
        self._pos = start
        self._left, self._opcode, self._rsv1, self._fin, self._key = size, opcode, rsv1, fin, key
        return self._next_of_payload()

    def _next_of_payload(self) -> Piece | None:
        data, pos, key = self._data, self._pos, self._key
        left, arrived = self._left, len(data) - pos
        if self._collected and left > arrived and self.buffer is None:
            self.buffer = PayloadBuffer(left, key, self._opcode == TEXT)
        if self.buffer is not None:
            self._pos = pos + self.buffer.put(data, pos)
            if not self.buffer.ready:
                self._run_out()
                return None
            payload = self.buffer.take()
            self.buffer = None
            self._collected = False  # a text that is not ASCII is looked at as it comes
        else:
            size = min(left, arrived)
            if not size:
                self._run_out()
                return None
            self._pos = pos + size
            payload = apply_mask(memoryview(data)[pos : pos + size], key) if key else data[pos : pos + size]
        self._left = left - len(payload)
        turn = len(payload) & 3
        if turn and key:
            self._key = key[turn:] + key[:turn]
        return (self._opcode, self._rsv1, self._fin, payload, not self._left)


def _kinds(rsv: tuple[int, ...]) -> dict[int, tuple[int, bool, bool]]:
    """First bytes that are valid as they stand, and what they mean: (opcode, rsv1, fin)."""
    kinds = {_FIN | opcode: (opcode, False, True) for opcode in _OPCODES}
    kinds |= {opcode: (opcode, False, False) for opcode in (CONTINUATION, TEXT, BINARY)}
    for bit in rsv:
        for opcode in (TEXT, BINARY):
            kinds[_FIN | bit | opcode] = (opcode, True, True)
            kinds[bit | opcode] = (opcode, True, False)
    return kinds


_KINDS_PLAIN = _kinds(())
_KINDS_COMPRESSED = _kinds((RSV1,))


def _violation(message: str) -> ProtocolViolation:
    return ProtocolViolation(CloseReason.PROTOCOL_ERROR, message)
