"""Inputs to begin with, made from valid conversations: the scripts of tests/support, and handshakes.

Masked with a key of zeros, so that what is mutated is the payload itself.
"""

from __future__ import annotations

from dataclasses import replace

from tests.support import script_handshake, script_rfc6455, script_rfc7692
from tests.support.script import Out, Script

# Longer streams take their time, and say nothing new.
_LONGEST = 3000

_HEAD = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: @accept\r\n"


def seeds(target: str) -> list[bytes]:
    """The inputs with which this target begins."""
    return _MAKERS[target]()


def valid(script: Script) -> bool:
    return not script.fails and not script.cut


def _stream(script: Script, client: bool) -> bytes:
    sends = [replace(one, key=bytes(4)) if isinstance(one, Out) else one for one in script.sends]
    return replace(script, sends=tuple(sends)).stream(client)


def _frames(side: str) -> list[bytes]:
    found = []
    for script in [*script_rfc6455.SCRIPTS, *script_rfc7692.SCRIPTS]:
        stream = _stream(script, client=side == "server")
        if valid(script) and script.side in (side, "both") and len(stream) < _LONGEST:
            # The limits and agreements that targets know of are near those of the scripts: near enough for a seed.
            deflate = 0 if script.deflate is None else 2 if script.deflate == script_rfc7692.AFRESH else 1
            found.append(bytes([deflate, 0, len(found) % 256, 1]) + stream)
    return found


def _instruction(kind: int, flags: int, payload: bytes) -> bytes:
    return bytes([kind, flags, len(payload)]) + payload


def _built() -> list[bytes]:
    text, more = "words and \u2603 words".encode(), b"words again"
    programs = [
        _instruction(1, 0, text),
        _instruction(2, 4, text) + _instruction(9, 0, b"ping") + _instruction(10, 0, b"pong"),
        _instruction(0x81, 0, text[:12]) + _instruction(9, 0, b"") + _instruction(0x80, 0, text[12:]) + _instruction(0, 0, b""),
        _instruction(0x41, 0x40, text) + _instruction(0x41, 0x40, text) + _instruction(0x42, 0x46, more),
        _instruction(0xC1, 6, text)
        + _instruction(9, 0, b"between")
        + _instruction(0xC0, 6, more)
        + _instruction(0x40, 0x46, text),
        _instruction(0x41, 0x26, text) + _instruction(0x41, 0x26, more) + _instruction(1, 0, text),
        _instruction(2, 4, bytes(200)) + _instruction(0x42, 0x44, bytes(200)),
        _instruction(1, 0, text) + _instruction(8, 0, b"\x03\xe8bye"),
        _instruction(8, 0, b""),
    ]
    return [bytes([deflate, limit, 7, 7]) + program for deflate in range(5) for limit in (0, 7) for program in programs]


def _oracle() -> list[bytes]:
    found = []
    for first, side in ((0, "server"), (130, "client")):  # of two numbers that choose the same agreement, the client's has bit 7
        found += [bytes([one[0] + first, 0, step, 0]) + one[4:] for step, one in enumerate(_frames(side))]
        found += [bytes([one[0] + first, 0, 3, 1]) + one[4:] for one in _built()]
    return found


def _requests() -> list[bytes]:
    found = [script_handshake.request(changes) for _, changes, status in script_handshake.REQUESTS if status == 101]
    found += [
        script_handshake.request({"Sec-WebSocket-Extensions": offer})
        for _, offer, _, _ in script_rfc7692.OFFERS
        if offer is not None
    ]
    # The target takes "GET target"; the version of HTTP is not ours to look at.
    return [one.replace(b" HTTP/1.1", b"", 1) for one in found]


def _responses() -> list[bytes]:
    more = ["", "Sec-WebSocket-Protocol: b\r\n", "Server: me\r\nDate: now\r\n"]
    more += [f"Sec-WebSocket-Extensions: {answer}\r\n" for _, options, answer, ok in script_rfc7692.ANSWERS if ok and answer]
    found = [b"\x03" + (_HEAD + one + "\r\n").encode() for one in more]
    found.append(found[0] + b"\x81\x05Hello")
    body = b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nsorry"
    chunked = b"Transfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n0\r\n\r\n"
    return found + [b"\x07HTTP/1.1 403 Forbidden\r\n" + body, b"\x07HTTP/1.1 302 Found\r\nLocation: /\r\n" + chunked]


def _negotiation() -> list[bytes]:
    offers = [offer for _, offer, _, answer in script_rfc7692.OFFERS if offer and answer]
    return [
        bytes([number * 7 % 256, number * 11 % 256, number * 13 % 256, 9]) + one.encode() for number, one in enumerate(offers)
    ]


_MAKERS = {
    "frames-server": lambda: _frames("server"),
    "frames-client": lambda: _frames("client"),
    "built-server": _built,
    "built-client": _built,
    "oracle": _oracle,
    "server-handshake": _requests,
    "client-handshake": _responses,
    "negotiation": _negotiation,
}
