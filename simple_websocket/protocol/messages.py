"""Message assembly: pieces of frames become whole messages (RFC 6455 sections 5.4, 5.6 and 8.1).

`MessageAssembler` belongs to the inbound half of a connection (read lock).  Limits are checked as early as they can be:
on the length that a frame header announces, on what has arrived, and on what inflation produced.
"""

from __future__ import annotations

import codecs
import io
from typing import Any

from ..errors import CloseReason, ProtocolViolation
from .deflate import Inflater
from .frames import CONTINUATION, TEXT

__all__ = ["MessageAssembler"]

_utf8_decoder = codecs.getincrementaldecoder("utf-8")

# What cannot be compressed gets longer: five bytes for each stored block, which has 127 bytes at the least (zlib with
# memory level 1), and an empty block at the end of a fragment.
_DEFLATE_OVERHEAD = 1024
_DEFLATE_SHARE = 16


class MessageAssembler:
    """Collects the pieces of one message after the other.

    :param limit: the most bytes a message may have (inflated, before UTF-8 is decoded), ``None`` for no limit.
    :param inflater: of the negotiated permessage-deflate, or ``None``.
    """

    __slots__ = ("_compressed", "_inflater", "_limit", "_mid_frame", "_pieces", "_size", "_utf8", "_wire_size", "opcode")

    def __init__(self, limit: int | None, inflater: Inflater | None) -> None:
        self._limit = limit
        self._inflater = inflater
        self._reset()

    def _reset(self) -> None:
        #: Of the message in progress; `CONTINUATION` when there is none.
        self.opcode = CONTINUATION
        self._compressed = False
        self._mid_frame = False
        self._utf8: codecs.IncrementalDecoder | None = None
        # Grows by what arrives, however small the fragments are; made for the first message of more than one piece.
        self._pieces: Any = None
        self._size = 0
        self._wire_size = 0

    def announce(self, opcode: int, rsv1: bool, size: int) -> bool:
        """Check the payload length that a data frame's header announces, before anything of it is kept.

        :return: whether nothing but UTF-8 has to be looked at in its payload.
        :raises ProtocolViolation: 1009, the message is too big.
        """
        if (opcode == CONTINUATION) != bool(self.opcode):
            return False  # a frame out of place, which its payload will show
        if self._limit is not None and self._wire_size + size > self._wire_limit(rsv1 or self._compressed):
            raise self._too_big()
        return bool(opcode) and not rsv1

    def _wire_limit(self, compressed: bool) -> int:
        """The most bytes that a message may have before it is inflated."""
        assert self._limit is not None
        return self._limit + (_DEFLATE_OVERHEAD + self._limit // _DEFLATE_SHARE if compressed else 0)

    def discard(self) -> None:
        """Let go of the message in progress: it will never be whole, and the connection may be looked at for long."""
        self._pieces = None

    def add(self, opcode: int, rsv1: bool, fin: bool, payload: bytes, frame_ends: bool) -> str | bytes | None:
        """Add a piece; return the message that it completes, else ``None``.

        :raises ProtocolViolation: 1002 wrong fragments, 1007 wrong UTF-8 or compressed data, 1009 too big.
        """
        if not self.opcode and fin and frame_ends and opcode:
            # An unfragmented message in one piece, whose length was announced if it can be too much on the wire.
            limit = self._limit
            if rsv1:
                assert self._inflater is not None  # as below
                payload = self._inflater.inflate(payload, True, limit)
            if limit is not None and len(payload) > limit:
                raise self._too_big()
            if opcode != TEXT:
                return payload
            try:
                return payload.decode()
            except UnicodeDecodeError as error:
                raise _bad_data(str(error)) from None
        return self._add_piece(opcode, rsv1, fin, payload, frame_ends)

    def _add_piece(self, opcode: int, rsv1: bool, fin: bool, payload: bytes, frame_ends: bool) -> str | bytes | None:
        if not self._mid_frame:
            self._begin_frame(opcode, rsv1)
        self._mid_frame = not frame_ends
        last = fin and frame_ends
        self._wire_size += len(payload)
        if self._limit is not None and self._wire_size > self._wire_limit(self._compressed):
            raise self._too_big()
        if self._compressed:
            assert self._inflater is not None  # the decoder lets RSV1 through only then
            room = None if self._limit is None else self._limit - self._size
            payload = self._inflater.inflate(payload, last, room)
        self._size += len(payload)
        if self._limit is not None and self._size > self._limit:
            raise self._too_big()
        data: str | bytes = payload
        if self._utf8 is not None:
            try:
                data = self._utf8.decode(payload, last)
            except UnicodeDecodeError as error:
                raise _bad_data(str(error)) from None
        if self._pieces is None:
            self._pieces = io.BytesIO() if self._utf8 is None else io.StringIO()
        self._pieces.write(data)
        if not last:
            return None
        message: str | bytes = self._pieces.getvalue()
        self._reset()
        return message

    def _begin_frame(self, opcode: int, rsv1: bool) -> None:
        if opcode == CONTINUATION:
            if not self.opcode:
                raise ProtocolViolation(CloseReason.PROTOCOL_ERROR, "continuation frame outside a message")
        elif self.opcode:
            raise ProtocolViolation(CloseReason.PROTOCOL_ERROR, "new message inside a fragmented message")
        else:
            self.opcode = opcode
            self._compressed = rsv1
            if opcode == TEXT:
                self._utf8 = _utf8_decoder()

    def _too_big(self) -> ProtocolViolation:
        return ProtocolViolation(CloseReason.MESSAGE_TOO_BIG, f"message of more than {self._limit} bytes")


def _bad_data(message: str) -> ProtocolViolation:
    return ProtocolViolation(CloseReason.INVALID_FRAME_PAYLOAD_DATA, message)
