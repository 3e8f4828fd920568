"""One connection of the load generator: what it sends, and how much of the echoes it has seen."""

from __future__ import annotations

import ssl
from typing import Any

from .cases import Case
from .wire import BINARY, TEXT, Inflater, WrongEcho, deflated, frame, masked, payload_of, read_header

__all__ = ["DeflatePeer", "Frames", "Peer"]

_READ = 256 * 1024
_COMPRESSED = 0xC0  # FIN and RSV1


class Frames:
    """The bytes of one case, which all its connections share.

    :param case: the case.
    :param websocket: whether the subject speaks WebSocket; another one sends back what it gets.
    :param window_bits: of permessage-deflate as agreed on, 0 for none.
    """

    def __init__(self, case: Case, websocket: bool, window_bits: int) -> None:
        opcode = BINARY if case.binary else TEXT
        self.payload = payload_of(case.size)
        self.deflated = window_bits > 0
        self.opcode = opcode
        if case.mode == "deflate" and not self.deflated:
            raise WrongEcho("the subject did not agree to permessage-deflate")
        self.sent = masked(deflated(self.payload, window_bits) if self.deflated else self.payload, opcode, self.deflated)
        echo = frame(self.payload, opcode) if websocket else self.sent
        self.size = len(echo)
        # Echo after echo, so that whatever one read returns is a slice of it.
        self.ring = echo * (_READ // len(echo) + 2)


class Peer:
    """One connection.

    :param sock: connected and non-blocking, the opening handshake done.
    :param frames: what is sent, and what has to come back.
    """

    __slots__ = ("_frame", "_position", "_ring", "_size", "_tls", "_unsent", "sock")

    def __init__(self, sock: Any, frames: Frames) -> None:
        self.sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._frame = frames.sent
        self._ring = frames.ring
        self._size = frames.size
        self._position = 0
        self._unsent = memoryview(b"")

    def send(self, count: int) -> None:
        """Send messages; what the socket does not take goes out later."""
        data = self._frame if count == 1 else self._frame * count
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + data)
            return
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            sent = 0
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]

    def send_rest(self) -> None:
        """Send of what is left over as much as the socket takes."""
        try:
            self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass

    @property
    def unfinished(self) -> bool:
        """Whether something is left over."""
        return bool(self._unsent)

    def receive(self) -> int:
        """Read, check what has come, and return how many echoes it completed.

        :raises WrongEcho: it is not what was sent.
        """
        if self._tls:
            return self._receive_records()
        data = self.sock.recv(_READ)
        if not data:
            raise WrongEcho("the subject closed the connection")
        return self.check(data)

    def _receive_records(self) -> int:
        # What OpenSSL holds already makes no socket readable, so it is read until there is no more.
        count = 0
        try:
            while data := self.sock.recv(_READ):
                count += self.check(data)
        except ssl.SSLWantReadError:
            return count
        raise WrongEcho("the subject closed the connection")

    def check(self, data: bytes) -> int:
        """Check received bytes, and return how many echoes they completed.

        :raises WrongEcho: they are not what was sent.
        """
        position = self._position
        end = position + len(data)
        if data != self._ring[position:end]:
            raise WrongEcho(f"{data[:80]!r}... came back instead of {self._ring[position : position + 80]!r}...")
        count, self._position = divmod(end, self._size)
        return count


class DeflatePeer(Peer):
    """One connection with permessage-deflate: what comes back depends on what came before, so it is inflated and compared."""

    __slots__ = ("_buffer", "_first_byte", "_inflater", "_payload")

    def __init__(self, sock: Any, frames: Frames) -> None:
        super().__init__(sock, frames)
        self._inflater = Inflater()
        self._payload = frames.payload
        self._first_byte = _COMPRESSED | frames.opcode
        self._buffer = b""

    def check(self, data: bytes) -> int:
        data = self._buffer + data
        count = 0
        while (header := read_header(data)) is not None:
            first, length, size = header
            if len(data) < length + size:
                break
            payload = data[length : length + size]
            message = self._inflater.message(payload) if first == self._first_byte else payload
            if message != self._payload or first | 0x40 != self._first_byte:
                raise WrongEcho(f"{message[:80]!r}... came back, first byte {first:#x}, instead of {self._payload[:80]!r}...")
            data = data[length + size :]
            count += 1
        self._buffer = data
        return count
