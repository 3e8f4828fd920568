"""A script: what a peer sends after the opening handshake, byte for byte, and what must come of it.

Scripts are data.  tests/cases/rfc*.py play them against `Server` and `Client` under each backend, tests/asyncio/test_rfc.py
against the asyncio classes; what they say is in ``script_rfc6455.py`` and ``script_rfc7692.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .wire import xor

KEY = bytes.fromhex("37fa213d")  # the masking key of the examples in RFC 6455 section 5.7


@dataclass(frozen=True)
class Out:
    """A frame that the peer writes, right or wrong.

    :param form: how many bits its length takes (7, 16 or 64).  Default: the fewest.
    :param length: the length that it announces.  Default: the payload's.
    :param wrong_mask: masked where it must not be, or the other way round.
    :param key: masking key of a client's frame.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    form: int | None = None
    length: int | None = None
    wrong_mask: bool = False
    key: bytes = KEY

    def wire(self, client: bool) -> bytes:
        """The bytes, as a client or a server writes them."""
        size = len(self.payload) if self.length is None else self.length
        form = self.form or (7 if size < 126 else 16 if size < 65536 else 64)
        masked = client is not self.wrong_mask
        first, second = (0x80 if self.fin else 0) | self.rsv | self.opcode, 0x80 if masked else 0
        if form == 7:
            head = struct.pack("!BB", first, second | size)
        elif form == 16:
            head = struct.pack("!BBH", first, second | 126, size)
        else:
            head = struct.pack("!BBQ", first, second | 127, size)
        return head + self.key + xor(self.payload, self.key) if masked else head + self.payload


@dataclass(frozen=True)
class Script:
    """One conversation.

    :param section: of the RFC.
    :param what: happens in it.
    :param sends: frames of the peer, or bytes as they stand.
    :param receives: the messages that the connection under test receives.
    :param answers: (opcode, payload) of the frames with which it answers, but for its Close frame.
    :param ends: close code of the ConnectionClosed that `receive` then raises; ``None`` when the connection is still open.
    :param reason: close reason of it; ``None`` for any.
    :param fails: whether it is the connection under test that fails the connection (section 7.1.7), with that code.
    :param then: a frame that the peer sends when it has the answers; it completes the message `last`.
    :param cut: whether the peer ends TCP after its frames.
    :param side: which connection is under test, "client", "server" or "both".
    :param deflate: what a peer offers or answers; ``None`` for no permessage-deflate.
    :param options: of the connection under test.
    """

    section: str
    what: str
    sends: tuple[Out | bytes, ...]
    receives: tuple[str | bytes, ...] = ()
    answers: tuple[tuple[int, bytes], ...] = ()
    ends: int | None = None
    reason: str | None = None
    fails: bool = False
    then: Out | None = None
    last: str | bytes | None = None
    cut: bool = False
    side: str = "both"
    deflate: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.section}-{self.what}"

    @property
    def headers(self) -> tuple[str, ...]:
        """Of the peer's half of the opening handshake."""
        return () if self.deflate is None else (f"Sec-WebSocket-Extensions: {self.deflate}",)

    def stream(self, client: bool) -> bytes:
        """The bytes of a peer that is the client, or the server."""
        return b"".join(one if isinstance(one, bytes) else one.wire(client) for one in self.sends)

    def check_close(self, payload: bytes) -> None:
        """Check the payload of the Close frame with which the connection under test answers or fails."""
        if self.ends == 1005:
            assert payload == b""  # answered in kind: there was no code, and 1005 must not be sent (7.4.1)
        else:
            assert int.from_bytes(payload[:2], "big") == self.ends
            payload[2:].decode()
            assert len(payload) <= 125 and len(payload) != 1

    def check_error(self, code: int, reason: str | None) -> None:
        """Check what ConnectionClosed says."""
        assert code == self.ends
        if self.reason is not None:
            assert (reason or "") == self.reason


# What is longer than this is not read byte by byte: it would take its time, and the boundaries are all alike.
_SHORT = 400


def played(scripts: Iterable[Script]) -> list[tuple[str, int, Script]]:
    """Each script for each side that it is for, as pytest's parameters: (side, how many bytes to read at once, script).

    By turns the client reads as much as it can and the server byte by byte, or the other way round.
    """
    found = []
    for number, script in enumerate(scripts):
        for turn, side in enumerate(("client", "server")):
            if script.side in (side, "both"):
                bytewise = number % 2 == turn and len(script.stream(True)) < _SHORT
                found.append((side, 1 if bytewise else 4096, script))
    return found


def name_of(value: object) -> str:
    return "byte by byte" if value == 1 else "whole" if value == 4096 else str(value)
