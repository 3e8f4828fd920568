"""permessage-deflate (RFC 7692): its parameters, their negotiation, bounded inflation and deflation.

`Inflater` belongs to the inbound half of a connection (read lock), `Deflater` to the outbound half (write lock).  Both
allocate zlib's memory at the first compressed message: a connection that never sees one pays nothing.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from wsproto.extensions import Extension

from ..errors import CloseReason, ProtocolViolation

__all__ = ["Compression", "DeflateExtension", "Deflater", "Inflater"]

_TAIL = b"\x00\x00\xff\xff"
_MAX_WINDOW = 15
# 12 bits and memory level 4 cost about 24 KiB to deflate and 14 KiB to inflate for each connection, against 256 and 44 KiB of
# zlib's own defaults, and compress short messages as well.
_KEPT_WINDOW = 12

# For a message of this many bytes it pays to have zlib's memory for it alone: with a larger window than is kept it takes half
# the time, and gets shorter.
_LARGE = 32 * 1024
_LARGE_MEMORY_LEVEL = 7


@dataclass(frozen=True)
class Compression:
    """How to use permessage-deflate (RFC 7692).

    :param level: zlib compression level, 0 to 9.  Default: 1, which takes half the time of 6 for some 8 % more bytes.
    :param memory_level: zlib memory level, 1 to 9; each step doubles the deflate state's memory.  Default: 4.
    :param server_max_window_bits: largest window of messages from the server, 9 to 15 bits.  Default ``None``: as a server 12,
        but 15 for each message of 32 KiB or more; as a client whatever the server chooses.
    :param client_max_window_bits: largest window of messages from the client, 9 to 15 bits.  Default ``None``: 12, but 15 for
        each message of 32 KiB or more where the server lets it.
    :param server_no_context_takeover: the server deflates each message afresh.  Default: ``False``.
    :param client_no_context_takeover: the client deflates each message afresh.  Default: ``False``.
    :param threshold: messages with fewer bytes are sent uncompressed.  Default: 64.
    :raises ValueError: a value is out of its range.
    """

    level: int = 1
    memory_level: int = 4
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    threshold: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.level <= 9:
            raise ValueError(f"compression level {self.level} is not between 0 and 9")
        if not 1 <= self.memory_level <= 9:
            raise ValueError(f"memory_level {self.memory_level} is not between 1 and 9")
        for name in ("server_max_window_bits", "client_max_window_bits"):
            bits = getattr(self, name)
            if bits is not None and not 9 <= bits <= _MAX_WINDOW:
                raise ValueError(f"{name} {bits} is not between 9 and {_MAX_WINDOW}")
        if self.threshold < 0:
            raise ValueError(f"threshold {self.threshold} is negative")


class DeflateExtension(Extension):
    """Negotiates permessage-deflate in wsproto's opening handshake, for either role (RFC 7692 section 7.1).

    After the handshake `agreed` says whether the extension is in use; `inflater` and `deflater` make its two halves.
    """

    name = "permessage-deflate"

    def __init__(self, compression: Compression, client: bool) -> None:
        self._wanted = compression
        self._client = client
        self.agreed = False
        # What was negotiated: the window of each direction, and who starts each message afresh.
        self._server_bits = _MAX_WINDOW
        self._client_bits = _MAX_WINDOW
        self._server_afresh = compression.server_no_context_takeover
        self._client_afresh = compression.client_no_context_takeover

    def offer(self) -> str:
        """Return the parameters of a client's offer."""
        wanted = self._wanted
        parameters = ["client_max_window_bits"]
        if wanted.client_max_window_bits is not None:
            parameters = [f"client_max_window_bits={wanted.client_max_window_bits}"]
        if wanted.server_max_window_bits is not None:
            parameters.append(f"server_max_window_bits={wanted.server_max_window_bits}")
        if wanted.server_no_context_takeover:
            parameters.append("server_no_context_takeover")
        if wanted.client_no_context_takeover:
            parameters.append("client_no_context_takeover")
        return "; ".join(parameters)

    def accept(self, offer: str) -> str | None:
        """Return a server's parameters for a client's offer, or ``None`` to decline it."""
        if self.agreed:
            return None  # an earlier offer was preferred by the client, and taken
        wanted = self._wanted
        try:
            offered = _parse(offer)
            server_bits = _bits(offered, "server_max_window_bits")
            client_bits = _bits(offered, "client_max_window_bits", optional=True)
        except ValueError:
            return None
        server_bits = min(server_bits, wanted.server_max_window_bits or _MAX_WINDOW)
        client_bits = min(client_bits, wanted.client_max_window_bits or _KEPT_WINDOW)
        if server_bits < 9:
            return None  # zlib cannot deflate with a window of 256 bytes
        self._server_bits = server_bits
        self._server_afresh |= "server_no_context_takeover" in offered
        self._client_afresh |= "client_no_context_takeover" in offered
        answer = []
        if server_bits < _MAX_WINDOW or "server_max_window_bits" in offered:  # who was asked answers (section 7.1.2.1)
            answer.append(f"server_max_window_bits={server_bits}")
        if "client_max_window_bits" in offered:
            self._client_bits = client_bits
            answer.append(f"client_max_window_bits={client_bits}")
        if self._server_afresh:
            answer.append("server_no_context_takeover")
        if self._client_afresh:
            answer.append("client_no_context_takeover")
        self.agreed = True
        return "; ".join(answer)

    def finalize(self, accepted: str) -> None:
        """Take the parameters of the server's answer.

        :raises ValueError: they are not an answer to our offer.
        """
        if self.agreed:
            raise ValueError("permessage-deflate accepted twice")
        answer = _parse(accepted)
        self._server_bits = _bits(answer, "server_max_window_bits")
        self._client_bits = _bits(answer, "client_max_window_bits")
        if self._server_bits > (self._wanted.server_max_window_bits or _MAX_WINDOW):
            raise ValueError("server_max_window_bits is larger than offered")
        if "client_max_window_bits" in answer and self._client_bits > (self._wanted.client_max_window_bits or _MAX_WINDOW):
            raise ValueError("client_max_window_bits is larger than offered")
        if self._client_bits < 9:
            raise ValueError("client_max_window_bits=8 cannot be met")
        self._server_afresh = "server_no_context_takeover" in answer
        self._client_afresh |= "client_no_context_takeover" in answer
        self.agreed = True

    def inflater(self) -> Inflater:
        """Return the inflater of the messages that the peer sends."""
        if self._client:
            return Inflater(self._server_bits, self._server_afresh)
        return Inflater(self._client_bits, self._client_afresh)

    def deflater(self) -> Deflater:
        """Return the deflater of the messages that this side sends."""
        wanted = self._wanted
        if self._client:
            return Deflater(wanted, wanted.client_max_window_bits, self._client_bits, self._client_afresh)
        return Deflater(wanted, wanted.server_max_window_bits, self._server_bits, self._server_afresh)


# Each costs what a message costs, and takes two bytes; who writes them has one at the end of a message or of each flush.
_MAX_STREAMS = 256


class Inflater:
    """Inflates the messages of one direction, never producing more than it was allowed to."""

    __slots__ = ("_afresh", "_bits", "_streams", "_zlib")

    def __init__(self, bits: int, afresh: bool) -> None:
        self._streams = 0  # that have ended inside the message
        self._bits = -max(9, bits)  # zlib inflates a 256 byte window with a larger one
        self._afresh = afresh
        self._zlib: Any = None  # zlib's object, made when the first compressed message comes

    def inflate(self, data: bytes, last: bool, room: int | None) -> bytes:
        """Return what `data`, a part of a message, inflates to.

        :param data: compressed payload.
        :param last: whether the message ends here.
        :param room: stop after more than this many bytes, ``None`` for no limit.  The caller refuses what is longer.
        :raises ProtocolViolation: 1007, this is no deflate stream.
        """
        if last:
            data += _TAIL
        most = 0 if room is None else max(room, 0) + 1  # 0 is zlib's "no limit"
        pieces = []
        produced = 0
        try:
            while data:
                if self._zlib is None:
                    self._zlib = zlib.decompressobj(self._bits)
                piece = self._zlib.decompress(data, most and most - produced)
                pieces.append(piece)
                produced += len(piece)
                if most and produced >= most:
                    break
                if self._zlib.eof:
                    # A block with BFINAL set (RFC 7692 section 7.2.3.4): what follows is a new deflate stream.
                    data = self._zlib.unused_data
                    self._zlib = None
                    self._streams += 1
                    if self._streams > _MAX_STREAMS:
                        raise ProtocolViolation(
                            CloseReason.INVALID_FRAME_PAYLOAD_DATA, f"more than {_MAX_STREAMS} final deflate blocks in a message"
                        )
                else:
                    data = self._zlib.unconsumed_tail
        except zlib.error as error:
            raise ProtocolViolation(CloseReason.INVALID_FRAME_PAYLOAD_DATA, f"invalid compressed data: {error}") from None
        if last:
            self._streams = 0
            if self._afresh:
                self._zlib = None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Deflater:
    """Deflates the messages of one direction.

    :param compression: level, memory level and threshold.
    :param wanted: the largest window that is wanted, in bits; ``None``: as it pays.
    :param agreed: the largest window that may be used, in bits.
    :param afresh: whether no message may refer to another.
    """

    __slots__ = ("_afresh", "_large", "_settings", "_zlib", "threshold")

    def __init__(self, compression: Compression, wanted: int | None, agreed: int, afresh: bool) -> None:
        #: Payloads of fewer bytes are not compressed.
        self.threshold = compression.threshold
        # zlib's level, window and memory level; a smaller window than the agreed one is always allowed.
        level, memory_level = compression.level, compression.memory_level
        self._settings = (level, min(agreed, wanted or _KEPT_WINDOW), memory_level)
        # Of large messages, where they have a larger window.
        self._large = (level, agreed, max(memory_level, _LARGE_MEMORY_LEVEL)) if wanted is None else self._settings
        self._afresh = afresh
        self._zlib: Any = None  # zlib's object, made when the first compressed message comes

    def settings(self, size: int) -> tuple[int, int, int]:
        """Return zlib's level, window and memory level for a message of `size` bytes."""
        return self._settings if size < _LARGE else self._large

    def deflate(self, data: bytes) -> bytes:
        """Return the compressed payload of one message (RFC 7692 section 7.2.1)."""
        if len(data) >= _LARGE and self._large[1] > self._settings[1]:
            self.start_afresh()
            return self.deflate_alone(data)
        if self._zlib is None:
            self._zlib = _new(*self._settings)
        out = _message(self._zlib, data)
        if self._afresh:
            self._zlib = None
        return out

    def deflate_alone(self, data: bytes) -> bytes:
        """Return the compressed payload of a message that refers to none before it, whichever connection it is sent on."""
        return _message(_new(*self.settings(len(data))), data)

    def start_afresh(self) -> None:
        """Refer to nothing that was sent before: something else was sent that this deflater has not seen."""
        self._zlib = None


def _new(level: int, bits: int, memory_level: int) -> Any:
    return zlib.compressobj(level, zlib.DEFLATED, -bits, memory_level)


def _message(compressor: Any, data: bytes) -> bytes:
    out = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    # In some versions of zlib a second flush of nothing produces nothing; an empty message is one empty block all the same
    # (section 7.2.3.6).
    return out[:-4] if out.endswith(_TAIL) else b"\x00"


_WITHOUT_VALUE = ("server_no_context_takeover", "client_no_context_takeover")
_WITH_VALUE = ("server_max_window_bits", "client_max_window_bits")


def _parse(text: str) -> dict[str, str | None]:
    """Return the parameters of one offer or answer; ValueError for unknown, repeated or malformed ones (section 7.1)."""
    parameters: dict[str, str | None] = {}
    for item in text.split(";")[1:]:
        name, equals, value = (part.strip() for part in item.partition("="))
        if name in parameters or name not in _WITHOUT_VALUE + _WITH_VALUE or (equals and name in _WITHOUT_VALUE):
            raise ValueError(f"unexpected parameter {item.strip()!r}")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        parameters[name] = value if equals else None
    return parameters


def _bits(parameters: dict[str, str | None], name: str, optional: bool = False) -> int:
    """Return a window size of 8 to 15 bits; 15 when it is not given."""
    if name not in parameters:
        return _MAX_WINDOW
    value = parameters[name]
    if value is None:
        if optional:
            return _MAX_WINDOW
        raise ValueError(f"{name} without a value")
    if value not in _WINDOWS:
        raise ValueError(f"{name}={value}")
    return int(value)


_WINDOWS = {str(bits) for bits in range(8, _MAX_WINDOW + 1)}
