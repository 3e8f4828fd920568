"""What a message carries: `payload_of` what an application sends, and `PreparedMessage`, one message for many connections.

No I/O; a prepared message may be used by any number of threads, which at the worst encode it twice.
"""

from __future__ import annotations

from typing import Any

from .deflate import Deflater
from .frames import BINARY, RSV1, TEXT, encode
from .outbox import Frame

__all__ = ["PreparedMessage", "payload_of"]


class PreparedMessage:
    """A message for many connections, which is encoded once (RFC 6455 section 5.2), and compressed once (RFC 7692).

    Give it to `send`, or leave it to `broadcast`, which makes one.  It saves nothing where a client sends it: each of its frames
    is masked with another key.

    :param data: ``bytes``, ``bytearray`` or ``memoryview`` for a binary message; anything else is sent as text.
    :raises UnicodeEncodeError: the text has lone surrogates, which UTF-8 cannot express.
    """

    __slots__ = ("_frames", "_opcode", "_payload", "data")

    def __init__(self, data: Any) -> None:
        #: The message.
        self.data: str | bytes = data.data if isinstance(data, PreparedMessage) else payload_of(data)
        self._opcode, self._payload = (TEXT, self.data.encode()) if isinstance(self.data, str) else (BINARY, self.data)
        # By how they were compressed.
        self._frames: dict[tuple[int, int, int] | None, Frame] = {}

    def frame(self, deflater: Deflater | None) -> Frame:
        """Return an unmasked frame.

        :param deflater: of the connection; ``None`` when it has no compression.
        """
        if deflater is not None and len(self._payload) < deflater.threshold:
            deflater = None
        key = None if deflater is None else deflater.settings(len(self._payload))
        frame = self._frames.get(key)
        if frame is None:
            compressed = self._payload if deflater is None else deflater.deflate_alone(self._payload)
            frame = self._frames[key] = encode(self._opcode, compressed, False, 0 if deflater is None else RSV1)
        if deflater is not None:
            deflater.start_afresh()
        return frame


def payload_of(data: Any) -> Any:
    """Return what a message carries: the bytes of what is bytes-like, a prepared message as it is, anything else as text."""
    if isinstance(data, (str, bytes, PreparedMessage)):
        return data
    return bytes(data) if isinstance(data, (bytearray, memoryview)) else str(data)
