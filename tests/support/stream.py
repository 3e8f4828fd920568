"""A peer's byte stream, plain or TLS: an original, non-blocking socket that waits with the world's own means.

So a peer works beside the connection it talks to, in whatever world, and shares nothing with the package.
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .world import World

PATIENCE = 20.0  # seconds that a peer waits for bytes, or for room, before the test has failed


class Stream:
    """A plain stream."""

    def __init__(self, world: World, sock: Any) -> None:
        self.world = world
        self.sock = sock
        sock.setblocking(False)
        self._rest = memoryview(b"")

    def read(self, size: int = 65536, timeout: float = PATIENCE) -> bytes:
        """Return what there is, ``b""`` at the end of the stream.  ConnectionResetError: it was reset.  TimeoutError."""
        by = self.world.clock() + timeout
        while True:
            data = self._read(size)
            if data is not None:
                return data
            left = by - self.world.clock()
            if left <= 0 or not self.world.readable(self.sock, left):
                raise TimeoutError(f"nothing to read for {timeout} s")

    def write(self, data: bytes, timeout: float = PATIENCE) -> None:
        """Write all of it.  TimeoutError: the other side reads too little; `finish` writes what is left."""
        self.finish(timeout)
        self._rest = memoryview(data)
        self.finish(timeout)

    def finish(self, timeout: float = PATIENCE) -> None:
        """Write what is left."""
        by = self.world.clock() + timeout
        while self._rest:
            sent = self._write(self._rest)
            self._rest = self._rest[sent:]
            if not sent and not self.world.writable(self.sock, by - self.world.clock()):
                raise TimeoutError(f"{len(self._rest)} bytes were not taken in {timeout} s")

    def _read(self, size: int) -> bytes | None:
        try:
            return bytes(self.sock.recv(size))
        except BlockingIOError:
            return None

    def _write(self, data: memoryview) -> int:
        try:
            return int(self.sock.send(data))
        except BlockingIOError:
            return 0

    def fin(self) -> None:
        """End our direction."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End both directions at once, with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


class TlsStream(Stream):
    """A TLS stream over memory BIOs; OpenSSL's object is used under a lock that is never held while waiting."""

    def __init__(self, world: World, sock: Any, context: ssl.SSLContext, hostname: str | None = None) -> None:
        super().__init__(world, sock)
        self._lock = world.lock()
        self._writing = world.lock()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=hostname is None, server_hostname=hostname)

    def shake_hands(self, timeout: float = PATIENCE) -> None:
        """Complete the TLS handshake.  ssl.SSLError: it failed.  ConnectionError: the other side hung up."""
        while True:
            try:
                self._tls.do_handshake()
                return self._push(timeout)
            except ssl.SSLWantReadError:
                self._push(timeout)
                data = super().read(timeout=timeout)
                if not data:
                    raise ConnectionResetError("the end of the stream in the TLS handshake") from None
                self._in.write(data)
            except ssl.SSLError:
                self._push(timeout)
                raise

    def read(self, size: int = 65536, timeout: float = PATIENCE) -> bytes:
        while True:
            with self._lock:
                try:
                    return self._tls.read(size)
                except ssl.SSLWantReadError:
                    pass
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b""
                except ssl.SSLError as error:  # an alert: the other side did not like how we ended
                    raise ConnectionResetError(str(error)) from None
            data = super().read(size, timeout)
            with self._lock:
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()

    def write(self, data: bytes, timeout: float = PATIENCE) -> None:
        with self._lock:
            if data:
                self._tls.write(data)
        self._push(timeout)

    def goodbye(self) -> None:
        """Send close_notify, and end our direction."""
        with self._lock:
            try:
                self._tls.unwrap()
            except ssl.SSLWantReadError:
                pass
        self._push(PATIENCE)
        self.fin()

    def _push(self, timeout: float) -> None:
        with self._writing:
            self.finish(timeout)  # before more is taken out of OpenSSL, which would be lost with a TimeoutError
            super().write(self._out.read(), timeout)
