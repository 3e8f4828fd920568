"""What may come over the wire: hypothesis strategies for streams of frames, valid and broken, and how they arrive.

A stream is made of messages with random fragments, control frames between them, compressed or not, as a peer that
follows the protocol could send it.  Then it may be damaged: bits flipped, bytes cut off, put in, taken out or repeated.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.extensions import PerMessageDeflate

from simple_websocket.protocol.connection import Protocol
from simple_websocket.protocol.deflate import Compression, DeflateExtension

from .wire import BINARY, CLOSE, CONTINUATION, PING, PONG, RSV1, TAIL, TEXT, close_payload, frame


class Deflate(NamedTuple):
    """permessage-deflate as it was agreed on."""

    server_bits: int = 15
    client_bits: int = 15
    server_afresh: bool = False
    client_afresh: bool = False

    def compression(self) -> Compression:
        # What wsproto's compressor does, too, so that the bytes can be compared.
        return Compression(6, 8, self.server_bits, self.client_bits, self.server_afresh, self.client_afresh, threshold=0)

    def answer(self) -> str:
        extension = DeflateExtension(self.compression(), client=False)
        answer = extension.accept("permessage-deflate; client_max_window_bits")
        assert answer is not None
        return "permessage-deflate; " + answer

    def ours(self, client: bool) -> DeflateExtension:
        extension = DeflateExtension(self.compression(), client=client)
        if client:
            extension.finalize(self.answer())
        else:
            extension.accept("permessage-deflate; client_max_window_bits")
        assert extension.agreed
        return extension

    def of_the_peer(self, client: bool) -> tuple[int, bool]:
        """Window and context takeover of what this side receives."""
        return (self.server_bits, self.server_afresh) if client else (self.client_bits, self.client_afresh)


class Setup(NamedTuple):
    """Which end receives the stream, and what was negotiated."""

    client: bool
    deflate: Deflate | None = None

    @property
    def peer(self) -> Setup:
        return Setup(not self.client, self.deflate)

    def ours(self, limit: int | None = None) -> Protocol:
        return Protocol(self.client, self.deflate and self.deflate.ours(self.client), limit, 5.0, None)

    def wsproto(self, extension: type[PerMessageDeflate] = PerMessageDeflate) -> Connection:
        extensions = []
        if self.deflate is not None:
            extensions.append(extension())
            extensions[0].finalize(self.deflate.answer())
        return Connection(ConnectionType.CLIENT if self.client else ConnectionType.SERVER, extensions)


bits = st.sampled_from([15, 12, 9])
deflates = st.builds(Deflate, bits, bits, st.booleans(), st.booleans())
plain_setups = st.builds(Setup, st.booleans(), st.none())
deflate_setups = st.builds(Setup, st.booleans(), deflates)
setups = plain_setups | deflate_setups

# Payloads: any short one, and the sizes at which the header changes its form.
sizes = st.sampled_from([1, 2, 124, 125, 126, 127, 128, 300, 600]) | st.sampled_from([65535, 65536])


def _of_size(pattern: Any, size: int) -> Any:
    return (pattern * (size // len(pattern) + 1))[:size]


texts = st.text(max_size=12) | st.builds(_of_size, st.text(min_size=1, max_size=8), sizes)
blobs = st.binary(max_size=12) | st.builds(_of_size, st.binary(min_size=1, max_size=8), sizes)
messages = texts | blobs
control_payloads = st.binary(max_size=8) | st.builds(_of_size, st.binary(min_size=1, max_size=3), st.just(125))
codes = st.sampled_from([1000, 1001, 1011, 3000, 4999, 999, 1004, 1005, 1006, 1014, 1015, 2999, 5000]) | st.integers(0, 65535)
closes = st.just(b"") | st.builds(close_payload, codes, st.text(max_size=10)) | st.binary(max_size=6)
controls = st.tuples(st.sampled_from([PING, PONG]), control_payloads)


@st.composite
def streams(draw: st.DrawFn, setup: Setup, most: int = 5) -> bytes:
    """Bytes of a few messages, nearly always valid, nearly always without a Close frame in the middle."""
    compressor = None
    out = []

    def put(opcode: int, payload: bytes, **options: Any) -> None:
        key = None if setup.client else draw(st.sampled_from([b"\0\0\0\0", b"\x37\xfa\x21\x3d", b"\x01\x80\xff\x00"]))
        out.append(frame(opcode, payload, key=key, **options))

    for _ in range(draw(st.integers(1, most))):
        for opcode, payload in draw(st.lists(controls, max_size=1)):
            put(opcode, payload)
        message = draw(messages)
        # Now and then a text that is none.
        opcode = TEXT if isinstance(message, str) or draw(st.integers(0, 9)) == 0 else BINARY
        data = message.encode() if isinstance(message, str) else message
        rsv = 0
        if setup.deflate is not None and draw(st.booleans()):
            rsv = RSV1
            window, afresh = setup.deflate.of_the_peer(setup.client)
            if compressor is None or afresh:
                level = draw(st.sampled_from([6, 1, 0]))
                compressor = zlib.compressobj(level, zlib.DEFLATED, -window)
            if draw(st.integers(0, 6)) == 0:
                # A last block, and the empty one that has to be behind it (RFC 7692 section 7.2.3.4).
                data = compressor.compress(data) + compressor.flush(zlib.Z_FINISH) + b"\x00"
                compressor = None
            else:
                data = (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
        cuts = sorted(draw(st.lists(st.integers(0, min(len(data), 40)), max_size=3)))
        ends = [*cuts, len(data)]
        for i, (start, end) in enumerate(zip([0, *cuts], ends, strict=True)):
            put(CONTINUATION if i else opcode, data[start:end], fin=i == len(cuts), rsv=0 if i else rsv)
            if i < len(cuts):
                for control, payload in draw(st.lists(controls, max_size=2)):
                    put(control, payload)
    if draw(st.integers(0, 2)) == 0:
        put(CLOSE, draw(closes))
        if draw(st.booleans()):
            put(TEXT, b"behind")
    return b"".join(out)


@st.composite
def damaged(draw: st.DrawFn, setup: Setup) -> bytes:
    """A stream with something wrong in it."""
    data = bytearray(draw(streams(setup)))
    for _ in range(draw(st.integers(1, 3))):
        # Headers are where it matters, and most of them are near the start.
        at = draw(st.integers(0, min(len(data), 60)) | st.integers(0, len(data)))
        kind = draw(st.sampled_from(["flip", "flip", "cut", "insert", "repeat", "remove"]))
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=6))
        elif kind == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 10))]
    return bytes(data)


@st.composite
def headers(draw: st.DrawFn, setup: Setup) -> bytes:
    """Frames whose headers are any bits at all, with payloads to match their short lengths."""
    out = b""
    for _ in range(draw(st.integers(1, 6))):
        first = draw(st.sampled_from([0x81, 0x82, 0x01, 0x80, 0x00, 0x89, 0x88, 0xC1, 0x41]) | st.integers(0, 255))
        second = draw(st.sampled_from([0, 1, 5, 125, 126, 127]) | st.integers(0, 127))
        masked = setup.client is (draw(st.integers(0, 9)) == 0)
        length = second
        if second > 125:
            length = draw(st.sampled_from([0, 125, 126, 300, 65535, 65536, 2**63, 2**63 - 1]))
        out += bytes((first, second | (0x80 if masked else 0)))
        if second == 126:
            length %= 65536
            out += length.to_bytes(2, "big")
        elif second == 127:
            out += length.to_bytes(8, "big")
        out += draw(st.binary(min_size=4, max_size=4)) if masked else b""
        out += _of_size(draw(st.binary(min_size=1, max_size=9)), min(length, 400))
    return out


def any_stream(setup: Setup) -> st.SearchStrategy[bytes]:
    return streams(setup) | damaged(setup) | headers(setup) | st.binary(max_size=80)


@st.composite
def arrivals(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The stream in the segments in which it arrives; none of them empty."""
    if draw(st.integers(0, 5)) == 0 and len(data) < 1000:
        return [data[i : i + 1] for i in range(len(data))]
    chunks = []
    for size in draw(st.lists(st.integers(1, 12) | st.sampled_from([125, 4096]), max_size=25)):
        chunks.append(data[:size])
        data = data[size:]
    return [chunk for chunk in (*chunks, data) if chunk]
