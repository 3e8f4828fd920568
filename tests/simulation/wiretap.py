"""What was written to a stream, decoded with code that shares nothing with the package (tests/support/wire.py and zlib)."""

from __future__ import annotations

import zlib

from tests.support.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, FrameReader, Torn

__all__ = ["Inflater", "Wiretap"]

_NAMES = {TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}


class Inflater:
    """Permessage-deflate, with a context for all messages."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-15)

    def __call__(self, data: bytes) -> bytes:
        return self._stream.decompress(data + b"\x00\x00\xff\xff")


class Wiretap:
    """Takes the bytes of one direction, handshake included.

    :param masked: whether they come from a client.
    """

    def __init__(self, masked: bool) -> None:
        self._masked = masked
        self._bytes = bytearray()

    def __call__(self, data: bytes) -> None:
        self._bytes += data

    def decode(self) -> tuple[list[str | bytes], list[tuple[str, bytes]], str]:
        """Return (the messages, the control frames, what is wrong)."""
        _, _, stream = bytes(self._bytes).partition(b"\r\n\r\n")
        reader, inflate = FrameReader(self._masked), Inflater()
        reader.feed(stream)
        messages: list[str | bytes] = []
        controls: list[tuple[str, bytes]] = []
        pieces: list[Frame] = []
        try:
            while (found := reader.next()) is not None:
                if controls and controls[-1][0] == "close":
                    return messages, controls, f"a frame behind the Close frame: {_NAMES[found.opcode]} {found.payload[:40]!r}"
                if found.opcode >= CLOSE:
                    controls.append((_NAMES[found.opcode], found.payload))
                    continue
                assert found.opcode == CONTINUATION or not pieces
                pieces.append(found)
                if found.fin:
                    whole = b"".join(piece.payload for piece in pieces)
                    if pieces[0].rsv1:
                        whole = inflate(whole)
                    messages.append(whole.decode() if pieces[0].opcode == TEXT else whole)
                    pieces = []
        except (Torn, zlib.error, UnicodeDecodeError) as error:
            return messages, controls, f"{type(error).__name__}: {error}, behind {len(messages)} messages"
        if reader.rest and controls and controls[-1][0] == "close":
            return messages, controls, f"{reader.rest} bytes behind the Close frame"
        return messages, controls, ""
