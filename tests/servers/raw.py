"""A client made of bare bytes: sees every byte the server sends, up to the end of TCP, and sends what no library would."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

KEY = "x3JJHMbDL1EzLkh9GBhXDw=="
ACCEPT = "HSmrc0sMlYUkAGmm5OPpG2HaGWk="  # RFC 6455 section 4.2.2, for this key
OPENING = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}

TIMEOUT = 10.0


class Frame(NamedTuple):
    opcode: int
    payload: bytes


class NoEnd(AssertionError):
    """The server did not end TCP in time."""


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """A final frame, masked with zeros, which change nothing."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + struct.pack("!H", size)
    else:
        length = b"\xff" + struct.pack("!Q", size)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


class RawClient:
    """A connection of bytes, made with its opening handshake.

    :param port: where the server listens, on 127.0.0.1.
    :param path: what to ask for.
    :param tls: for TLS.
    :param first: sent together with the request.
    """

    def __init__(self, port: int, path: str, tls: ssl.SSLContext | None = None, first: bytes = b"") -> None:
        self.sock: socket.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._tcp: socket.socket | None = None
        self._buffer = b""
        try:
            if tls is not None:
                # A second descriptor of the same connection, to look below TLS.
                self._tcp = self.sock.dup()
                self._tcp.settimeout(TIMEOUT)
                self.sock = tls.wrap_socket(self.sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
            headers = "".join(f"{name}: {value}\r\n" for name, value in OPENING.items())
            self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n".encode() + first)
            while b"\r\n\r\n" not in self._buffer:
                self._more()
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self.head = head.decode("latin-1")
            assert self.head.startswith("HTTP/1.1 101 ") and ACCEPT in self.head, self.head
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> Frame:
        """The next frame, final and unmasked."""
        first, second = self._take(2)
        size = second & 0x7F
        assert first & 0xF0 == 0x80 and not second & 0x80, f"not a plain final frame: {first:#x} {second:#x}"
        if size == 126:
            size = struct.unpack("!H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._take(8))[0]
        return Frame(first & 0x0F, self._take(size))

    def rest(self, within: float) -> bytes:
        """Every byte that still comes until the server ends TCP; under TLS that has to begin with its close_notify.

        :raises NoEnd: it did not within so many seconds.
        """
        deadline = time.monotonic() + within
        received = self._buffer
        for sock in filter(None, (self.sock, self._tcp)):
            while True:
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                try:
                    data = sock.recv(65536)
                except TimeoutError:
                    raise NoEnd(f"TCP is still open {within:g} s later; received {received!r}") from None
                if not data:
                    break
                received += data
        return received

    def reset(self) -> None:
        """Drop the connection with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Drop the connection with a FIN; under TLS without a close_notify."""
        for sock in filter(None, (self._tcp, self.sock)):
            sock.close()

    def _more(self) -> None:
        data = self.sock.recv(1 << 20)
        if not data:
            raise AssertionError(f"the server ended the connection after {self._buffer!r}")
        self._buffer += data

    def _take(self, size: int) -> bytes:
        if len(self._buffer) < size:
            whole = bytearray(self._buffer)
            self._buffer = b""
            while len(whole) < size:
                data = self.sock.recv(min(1 << 20, size - len(whole)))
                if not data:
                    raise AssertionError(f"the server ended the connection after {bytes(whole[:100])!r}")
                whole += data
            return bytes(whole)
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


def unique() -> str:
    """A name for a request."""
    return os.urandom(6).hex()
