"""A scripted peer: the other end of a connection under test, of which the test writes every byte and reads every frame."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib

from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, FrameReader, Head, close_payload, frame, request, response

PATIENCE = 10.0


class Peer:
    """One connection of bytes.

    :param reader: where it reads.
    :param writer: where it writes.
    :param client: whether it is the client, which masks.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: bool) -> None:
        self.reader = reader
        self.writer = writer
        self.client = client
        self.frames = FrameReader(masked=not client)
        self.over = False
        self.pings = 0
        self.pongs: list[bytes] = []

    # The opening handshake

    async def read_head(self) -> Head:
        data = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        return Head(data.removesuffix(b"\r\n\r\n"))

    async def accept(self, headers: tuple[str, ...] = (), behind: bytes = b"") -> Head:
        """Answer a request with 101, with `behind` in the same segment."""
        head = await self.read_head()
        self.writer.write(response(head, headers) + behind)
        return head

    async def ask(self, authority: str, target: str = "/", headers: tuple[str, ...] = (), behind: bytes = b"") -> Head:
        """Ask for a WebSocket, with `behind` in the same segment; return the answer."""
        self.writer.write(request(authority, target, headers) + behind)
        return await self.read_head()

    # Frames out

    def make(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
        return frame(opcode, payload, fin=fin, rsv=rsv, masked=self.client)

    def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        self.writer.write(self.make(opcode, payload, fin=fin, rsv=rsv))

    def message(self, message: str | bytes) -> bytes:
        return self.make(TEXT, message.encode()) if isinstance(message, str) else self.make(BINARY, message)

    def send(self, message: str | bytes) -> None:
        self.writer.write(self.message(message))

    def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        self.send_frame(CLOSE, close_payload(code, reason))

    def fin(self) -> None:
        """End our direction, as far as TLS can; a server ends TCP first."""
        if self.writer.can_write_eof():
            self.writer.write_eof()
        else:
            self.writer.close()

    def reset(self) -> None:
        """Drop the connection with an RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    # Frames in

    async def next_frame(self, timeout: float = PATIENCE) -> Frame | None:
        """Return the next frame, ``None`` at the end of the stream, which must not be inside a frame."""
        while True:
            found = self.frames.next()
            if found is not None:
                return found
            data = await asyncio.wait_for(self.reader.read(1 << 20), timeout)
            if not data:
                assert not self.frames.rest, "the stream ends inside a frame"
                return None
            self.frames.feed(data)

    async def receive(self, timeout: float = PATIENCE) -> str | bytes:
        """Return the next message, which must be one frame; pings and pongs before it are counted."""
        while True:
            found = await self.next_frame(timeout)
            assert found is not None, "the end of the stream instead of a message"
            if found.opcode == PING:
                self.pings += 1
            elif found.opcode == PONG:
                self.pongs.append(found.payload)
            else:
                assert found.opcode in (TEXT, BINARY) and found.fin, found
                return found.text if found.opcode == TEXT else found.payload

    async def expect(self, opcode: int, timeout: float = PATIENCE) -> Frame:
        """Return the next frame, which must be of this kind."""
        found = await self.next_frame(timeout)
        assert found is not None and found.opcode == opcode, found and (found.opcode, found.payload[:40])
        return found

    async def expect_close(self, timeout: float = PATIENCE) -> Frame:
        """Return the Close frame, before which other frames may come."""
        while True:
            found = await self.next_frame(timeout)
            assert found is not None, "the end of the stream without a Close frame"
            if found.opcode == CLOSE:
                return found

    async def expect_end(self, timeout: float = PATIENCE) -> None:
        """The stream must end, in order or by a reset, and without another frame."""
        try:
            found = await self.next_frame(timeout)
        except ConnectionError:
            return
        assert found is None, f"another frame: {found.opcode} {found.payload[:40]!r}"

    async def answer_close(self) -> Frame:
        """Read up to the Close frame, confirm it and do a server's part of ending TCP."""
        found = await self.expect_close()
        self.writer.write(self.make(CLOSE, found.payload))
        if not self.client:
            self.fin()
        return found

    async def close(self) -> None:
        if self.over:
            return
        self.over = True
        self.writer.close()
        try:
            await asyncio.wait_for(self.writer.wait_closed(), 1)
        except asyncio.TimeoutError:  # the other end does not say goodbye under TLS
            self.writer.transport.abort()
        except OSError:
            pass  # how the connection ended, once more


class Inflating:
    """Decompresses a peer's messages (RFC 7692), in their order: one that is missing or torn shows."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(-15)

    def message(self, found: Frame) -> bytes:
        if not found.rsv1:
            return found.payload
        return self._inflater.decompress(found.payload + b"\x00\x00\xff\xff")
