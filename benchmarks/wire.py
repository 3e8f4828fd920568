"""The wire as the load generator sees it: opening handshakes, frames made beforehand, and the bytes that have to come back.

RFC 6455 section 5.2 in a few lines of its own: nothing is shared with what is measured.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import zlib

__all__ = [
    "BINARY", "BROADCAST", "CLOSE", "TEXT", "TRIGGER", "Inflater", "Request", "WrongEcho", "accept_key", "deflated", "frame",
    "masked", "payload_of", "read_header",
]  # fmt: skip

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_TAIL = b"\x00\x00\xff\xff"
TEXT, BINARY = 1, 2


class WrongEcho(Exception):
    """The subject did not send back what it was sent."""


def payload_of(size: int) -> bytes:
    """Return a payload: ASCII, lines that compress about as well as a chat's JSON does."""
    lines = []
    length = number = 0
    while length < size:
        line = b'{"id": %d, "from": "user%d", "text": "%s"}\n' % (number, number * 7919 % 101, _WORDS[number % len(_WORDS)])
        lines.append(line)
        length += len(line)
        number += 1
    return b"".join(lines)[:size]


_WORDS = [hashlib.sha256(bytes((number,))).hexdigest()[: 8 + number].encode() for number in range(40)]


def frame(payload: bytes, opcode: int = TEXT, rsv1: bool = False) -> bytes:
    """Return a final frame as servers send it."""
    return _header(len(payload), opcode, rsv1, 0) + payload


def masked(payload: bytes, opcode: int = TEXT, rsv1: bool = False) -> bytes:
    """Return a final frame as clients send it."""
    key = os.urandom(4)
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    mixed = (int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")
    return _header(size, opcode, rsv1, 0x80) + key + mixed


def _header(size: int, opcode: int, rsv1: bool, mask: int) -> bytes:
    first = 0x80 | (0x40 if rsv1 else 0) | opcode
    if size < 126:
        return bytes((first, mask | size))
    if size < 65536:
        return struct.pack("!BBH", first, mask | 126, size)
    return struct.pack("!BBQ", first, mask | 127, size)


def read_header(data: bytes) -> tuple[int, int, int] | None:
    """Return the first byte, the header's length and the payload's of an unmasked frame; ``None`` when it is not whole."""
    if len(data) < 2:
        return None
    size = data[1]
    if size < 126:
        return data[0], 2, size
    length, form = (4, "!H") if size == 126 else (10, "!Q")
    return None if len(data) < length else (data[0], length, *struct.unpack_from(form, data, 2))


def deflated(payload: bytes, bits: int) -> bytes:
    """Return a message compressed by itself (RFC 7692 section 7.2.1), which may be sent whatever was sent before.

    :param bits: of the window.
    """
    deflater = zlib.compressobj(6, zlib.DEFLATED, -bits)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)


class Inflater:
    """Inflates the messages of one connection, which may refer to earlier ones."""

    __slots__ = ("_zlib",)

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(-15)

    def message(self, data: bytes) -> bytes:
        """Return one message."""
        return self._zlib.decompress(data) + self._zlib.decompress(_TAIL)


#: A Close frame with 1000, masked.
CLOSE = masked(b"\x03\xe8", 8)

#: What starts a broadcast, and what every connection then gets: 1 KiB of text.
TRIGGER = masked(b"go")
BROADCAST = frame(payload_of(1024))


class Request:
    """One opening handshake, from the client's side.

    :param port: for the Host header.
    :param path: what to ask for.  Default: ``/``.
    :param deflate: whether to offer permessage-deflate.  Default: ``False``.
    """

    __slots__ = ("_accepted", "_head", "data", "window_bits")

    def __init__(self, port: int, path: str = "/", deflate: bool = False) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" if deflate else ""
        self.data = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
        ).encode()
        self._accepted = accept_key(key)
        self._head = b""
        #: The window that the client may use; 0 when compression was not agreed on.
        self.window_bits = 0

    def take(self, data: bytes) -> bool:
        """Take a part of the answer; return whether it is complete.

        :raises WrongEcho: it is no acceptance.
        """
        if not data:
            raise WrongEcho(f"the subject closed the connection during the opening handshake, after {self._head!r}")
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return False
        if not self._head.startswith(b"HTTP/1.1 101") or self._accepted not in self._head:
            raise WrongEcho(f"the subject answered the opening handshake with {self._head!r}")
        head = self._head.lower()
        if b"permessage-deflate" in head:
            bits = head.partition(b"client_max_window_bits=")[2].partition(b"\r")[0].partition(b";")[0].strip(b' "')
            self.window_bits = int(bits or b"15")
        return True


def accept_key(key: str) -> bytes:
    """Return the value of Sec-WebSocket-Accept for a key."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest())
