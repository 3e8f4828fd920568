"""A scripted peer: one WebSocket connection of which the test writes every byte, and reads every frame."""

from __future__ import annotations

from typing import Any

from .stream import PATIENCE, Stream, TlsStream
from .wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, FrameReader, Head, close_payload, frame, request, response
from .world import World


class Peer:
    """The other end of a connection under test.

    :param stream: where it speaks.
    :param client: whether it is the client, which masks.
    """

    def __init__(self, stream: Stream, client: bool) -> None:
        self.stream = stream
        self.client = client
        self.frames = FrameReader(masked=not client)
        self.head: Head | None = None  # the request or the response that it got
        self.pings = 0
        self.pongs: list[bytes] = []

    # The opening handshake

    def read_head(self) -> Head:
        """Read a request or a response; what follows it belongs to the frames."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.stream.read()
            if not piece:
                raise ConnectionResetError(f"the end of the stream after {data!r}")
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        self.frames.feed(rest)
        self.head = Head(head)
        return self.head

    def accept(self, headers: tuple[str, ...] = (), behind: bytes = b"") -> Head:
        """Answer a request with 101, and write `behind` in the same segment."""
        head = self.read_head()
        self.stream.write(response(head, headers) + behind)
        return head

    def ask(self, authority: str, target: str = "/", headers: tuple[str, ...] = (), behind: bytes = b"") -> Head:
        """Ask for a WebSocket, with `behind` in the same segment; return the answer."""
        self.stream.write(request(authority, target, headers) + behind)
        return self.read_head()

    # Frames out

    def make(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
        return frame(opcode, payload, fin=fin, rsv=rsv, masked=self.client)

    def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        self.stream.write(self.make(opcode, payload, fin=fin, rsv=rsv))

    def send(self, message: str | bytes) -> None:
        self.stream.write(self.message(message))

    def message(self, message: str | bytes) -> bytes:
        """The frame of a message."""
        return self.make(TEXT, message.encode()) if isinstance(message, str) else self.make(BINARY, message)

    def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        self.send_frame(CLOSE, close_payload(code, reason))

    def hang_up(self) -> None:
        """After both Close frames: a server ends TCP, for which a client waits."""
        if not self.client:
            self.stream.fin()

    def answer_close(self) -> Frame:
        """Wait for a Close frame, answer it, end our direction; return the frame."""
        close = self.expect_close()
        self.send_close(close.code)
        self.stream.fin()
        return close

    # Frames in

    def next_frame(self, timeout: float = PATIENCE) -> Frame | None:
        """Return the next frame, ``None`` at the end of the stream, which must not be inside a frame.  TimeoutError."""
        world = self.stream.world
        by = world.clock() + timeout
        while True:
            found = self.frames.next()
            if found is not None:
                return found
            data = self.stream.read(1 << 20, max(0.0, by - world.clock()))
            if not data:
                assert not self.frames.rest, "the stream ends inside a frame"
                return None
            self.frames.feed(data)

    def receive(self, timeout: float = PATIENCE) -> str | bytes:
        """Return the next message, which must be one frame; pings and pongs before it are counted."""
        while True:
            found = self.next_frame(timeout)
            assert found is not None, "the end of the stream instead of a message"
            if found.opcode == PING:
                self.pings += 1
            elif found.opcode == PONG:
                self.pongs.append(found.payload)
            else:
                assert found.opcode in (TEXT, BINARY) and found.fin, found
                return found.text if found.opcode == TEXT else found.payload

    def expect(self, opcode: int, timeout: float = PATIENCE) -> Frame:
        """Return the next frame, which must be of this kind."""
        found = self.next_frame(timeout)
        assert found is not None and found.opcode == opcode, found and (found.opcode, found.payload[:40])
        return found

    def expect_close(self, timeout: float = PATIENCE) -> Frame:
        """Return the Close frame, before which only messages and pongs may come."""
        while True:
            found = self.next_frame(timeout)
            assert found is not None, "the end of the stream without a Close frame"
            if found.opcode == CLOSE:
                return found

    def expect_end(self, timeout: float = PATIENCE) -> None:
        """The stream must end, in order or by a reset, and without another frame."""
        try:
            found = self.next_frame(timeout)
        except ConnectionError:
            return
        assert found is None, f"another frame: {found.opcode} {found.payload[:40]!r}"

    def answer_pings(self, until: Any) -> None:
        """Read and answer pings until the stream ends or `until` is set."""
        while not until.is_set():
            try:
                found = self.next_frame(0.05)
            except TimeoutError:
                continue
            except ConnectionError:
                return
            if found is None:
                return
            if found.opcode == PING:
                self.pings += 1
                self.send_frame(PONG, found.payload)

    def close(self) -> None:
        self.stream.close()


def make_stream(world: World, sock: Any, context: Any = None, hostname: str | None = None) -> Stream:
    """A stream over a connected socket, after the TLS handshake if there is a context."""
    if context is None:
        return Stream(world, sock)
    stream = TlsStream(world, sock, context, hostname)
    stream.shake_hands()
    return stream
