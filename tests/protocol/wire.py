"""Frames built and read by hand: the tests' own view of the wire, which shares no code with the package.

Also the two ends of a connection as most tests want them, and how to drain one.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import pytest

from simple_websocket.errors import ConnectionClosed
from simple_websocket.protocol.connection import Pong, Protocol
from simple_websocket.protocol.deflate import Compression, DeflateExtension
from simple_websocket.protocol.outbox import Frame, Outbox

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10
KEY = bytes.fromhex("37fa213d")  # the masking key of the examples in RFC 6455 section 5.7
TAIL = b"\x00\x00\xff\xff"


def xor(payload: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def header(opcode: int, size: int, *, fin: bool = True, rsv: int = 0, key: bytes | None = None, form: int | None = None) -> bytes:
    """A frame header; `form` is how many bits the length takes (7, 16 or 64), by default the fewest."""
    if form is None:
        form = 7 if size < 126 else 16 if size < 65536 else 64
    first = fin << 7 | rsv | opcode
    mask_bit = 0 if key is None else 0x80
    if form == 7:
        head = struct.pack("!BB", first, mask_bit | size)
    elif form == 16:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    return head + (key or b"")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = None,
    form: int | None = None,
) -> bytes:
    head = header(opcode, len(payload), fin=fin, rsv=rsv, key=key, form=form)
    return head + (payload if key is None else xor(payload, key))


class Seen(NamedTuple):
    """One frame as it was on the wire, unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


def parse(data: bytes | bytearray, masked: bool) -> list[Seen]:
    """Read whole frames; anything left over, or masked the wrong way round, is an error of the test's subject."""
    data = bytes(data)
    frames = []
    pos = 0
    while pos < len(data):
        first, second = data[pos], data[pos + 1]
        pos += 2
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(data[pos : pos + 2], "big")
            assert size > 125, "length not in the fewest bytes"
            pos += 2
        elif size == 127:
            size = int.from_bytes(data[pos : pos + 8], "big")
            assert size > 65535, "length not in the fewest bytes"
            pos += 8
        assert bool(second & 0x80) is masked
        key = b"\0\0\0\0"
        if masked:
            key = data[pos : pos + 4]
            pos += 4
        payload = data[pos : pos + size]
        assert len(payload) == size, "incomplete frame"
        pos += size
        frames.append(Seen(first & 0x0F, xor(payload, key) if masked else payload, bool(first & 0x80), first & 0x70))
    return frames


def joined(out: Frame) -> bytes:
    outbox, written = Outbox(), bytearray()
    outbox.put(out)
    while outbox:
        part = outbox.front()
        written += part
        outbox.drop(len(part))
    return bytes(written)


def deflated(data: bytes, bits: int = 15, level: int = 6) -> bytes:
    """The payload of a message compressed on its own."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -bits)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def inflated(payload: bytes, bits: int = 15) -> bytes:
    return zlib.decompressobj(-bits).decompress(payload + TAIL)


def server_deflate(compression: Compression | None = None, offer: str = "client_max_window_bits") -> DeflateExtension:
    """permessage-deflate as a server agreed to it."""
    extension = DeflateExtension(compression or Compression(client_max_window_bits=15), client=False)
    assert extension.accept(f"permessage-deflate; {offer}") is not None
    return extension


def client_deflate(compression: Compression | None = None, answer: str = "") -> DeflateExtension:
    """permessage-deflate as a client got it."""
    extension = DeflateExtension(compression or Compression(), client=True)
    extension.finalize("permessage-deflate; " + answer if answer else "permessage-deflate")
    return extension


def server(limit: int | None = None, deflate: DeflateExtension | None = None) -> Protocol:
    return Protocol(False, deflate, limit, 5.0, None)


def client(limit: int | None = None, deflate: DeflateExtension | None = None) -> Protocol:
    return Protocol(True, deflate, limit, 5.0, None)


def drain(protocol: Protocol) -> list[str | bytes | Pong]:
    events = []
    while (event := protocol.next_event()) is not None:
        events.append(event)
    return events


def events_of(protocol: Protocol, *chunks: bytes) -> list[str | bytes | Pong]:
    """What the protocol makes of these chunks."""
    events = []
    for chunk in chunks:
        protocol.receive_data(chunk)
        events += drain(protocol)
    return events


# A server's view: what its client sends, and what it says itself


def f(opcode: int, payload: bytes = b"", **options: int) -> bytes:
    """A frame from a client."""
    return frame(opcode, payload, key=KEY, **options)


def close_payload(code, reason=""):
    return code.to_bytes(2, "big") + reason.encode()


def received(*chunks):
    protocol = server()
    events_of(protocol, *chunks)
    return protocol


def told(protocol):
    """What the protocol has to say, as frames."""
    return parse(protocol.data_to_send(), protocol._client)


def shut(protocol, code=1000, reason="", now=0.0):
    """Close from this side, as a shell does; return the frames to write."""
    protocol.begin_close(code, reason, now)
    return parse(joined(protocol.close(code, reason)), protocol._client)


def assert_closed_error(protocol, code, message):
    error = protocol.closed_error()
    assert (error.reason, error.message) == (code, message)
    for action in (lambda: protocol.send("x"), lambda: protocol.send(b"x"), lambda: protocol.ping(b"", 0.0)):
        with pytest.raises(ConnectionClosed) as caught:
            action()
        assert (caught.value.reason, caught.value.message) == (code, message)
