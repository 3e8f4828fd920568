"""Frames and handshakes as the tests write and read them: a view of the wire that shares no code with the package.

`FrameReader` is strict: bytes that are no frame raise `Torn`, which is how a frame inside another frame shows.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
OPCODES = (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Torn(AssertionError):
    """What arrived is no sequence of whole frames."""


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool
    rsv1: bool

    @property
    def text(self) -> str:
        return self.payload.decode()

    @property
    def code(self) -> int | None:
        """The code of a Close frame."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None

    @property
    def reason(self) -> str:
        """The reason of a Close frame."""
        return self.payload[2:].decode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool) -> bytes:
    """One frame; `rsv` holds the three reserved bits as they stand in the first byte (0x40, 0x20, 0x10)."""
    size = len(payload)
    first, mask_bit = (0x80 if fin else 0) | rsv | opcode, 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + xor(payload, key)


def close_payload(code: int | None, reason: str = "") -> bytes:
    return b"" if code is None else code.to_bytes(2, "big") + reason.encode()


def xor(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


class FrameReader:
    """Takes bytes, gives frames.

    :param masked: whether the frames must be masked, as a client's must, or must not be.
    """

    def __init__(self, masked: bool) -> None:
        self._masked = masked
        self._buffer = bytearray()
        self._inside = False  # between the fragments of a message

    @property
    def rest(self) -> int:
        """How many bytes of an unfinished frame have arrived."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode, fin, rsv1 = first & 15, bool(first & 0x80), bool(first & 0x40)
        if opcode not in OPCODES or first & 0x30 or bool(second & 0x80) != self._masked:
            raise Torn(f"not the header of a frame: {bytes(buffer[:16]).hex()}")
        size, at = second & 127, 2
        if size > 125:
            width = 2 if size == 126 else 8
            if len(buffer) < at + width:
                return None
            size = int.from_bytes(buffer[at : at + width], "big")
            at += width
        if opcode >= CLOSE and (not fin or size > 125 or rsv1):
            raise Torn(f"not the header of a control frame: {bytes(buffer[:16]).hex()}")
        key = b""
        if self._masked:
            key = bytes(buffer[at : at + 4])
            at += 4
        if len(buffer) < at + size:
            return None
        if opcode < CLOSE:
            if (opcode == CONTINUATION) != self._inside:
                raise Torn("a fragment without its message, or a message inside another one")
            self._inside = not fin
        with memoryview(buffer) as view:
            payload = bytes(view[at : at + size])
        del buffer[: at + size]
        return Frame(opcode, xor(payload, key) if self._masked else payload, fin, rsv1)


# The opening handshake


def request(authority: str, target: str = "/", headers: tuple[str, ...] = (), key: str | None = None) -> bytes:
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {authority}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key or base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def accept_key(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def response(head: Head, headers: tuple[str, ...] = ()) -> bytes:
    """The response that accepts a request."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(head.headers['sec-websocket-key'])}",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Head:
    """The head of a request or a response, taken apart."""

    def __init__(self, data: bytes) -> None:
        self.first, *lines = data.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.pairs = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self.headers = {name.lower(): value for name, value in self.pairs}

    @property
    def target(self) -> str:
        return self.first.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.first.split(" ")[1])

    def environ(self) -> dict[str, object]:
        """The WSGI environ of this request."""
        method, target, _ = self.first.split(" ")
        path, _, query = target.partition("?")
        environ: dict[str, object] = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query}
        for name, value in self.pairs:
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        return environ
