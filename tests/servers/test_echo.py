"""Messages of every kind and size, in both directions, over every server."""

from __future__ import annotations

import hashlib
import time

import pytest

from .conftest import Running
from .raw import BINARY, CLOSE, PING, PONG, TEXT, RawClient, close_frame, frame, unique

MEBIBYTE = 1024 * 1024
LARGE = 32 * MEBIBYTE


def test_small_and_large(server: Running) -> None:
    with server.connect("/echo") as ws:
        for message in ["", b"", "x", "Grüße, 世界 🌍", bytes(range(256)), "é" * MEBIBYTE, b"\x00\xff" * (MEBIBYTE // 2)]:
            ws.send(message)
            assert ws.receive(timeout=10) == message


@pytest.mark.parametrize("compression", [True, False], ids=["deflate", "plain"])
def test_32_mebibytes(server: Running, compression: bool) -> None:
    message = hashlib.sha256(b"").digest() * (LARGE // 32)
    with server.connect("/echo", compression=compression) as ws:
        ws.send(message)
        assert ws.receive(timeout=30) == message


def test_32_mebibytes_to_a_peer_that_reads_nothing_for_a_second(server: Running) -> None:
    name = unique()
    with server.raw(f"/exchange?size={LARGE}&id={name}") as raw:
        time.sleep(1.0)
        opcode, payload = raw.receive()
        assert opcode == BINARY and payload == b"\xa5" * LARGE
        message = b"0123456789abcdef" * (LARGE // 16)
        raw.send(frame(BINARY, message))
        assert raw.receive() == (TEXT, f"{LARGE} {hashlib.sha256(message).hexdigest()}".encode())
        raw.send(close_frame(1000))
        assert raw.receive().opcode == CLOSE
    assert server.ended(name) == 1000


def early(server: Running, path: str, frames: bytes) -> RawClient:
    """Connect with frames in the segment of the request, which RFC 6455 section 4.1 forbids and proxies make possible.

    uWSGI keeps what it has read to itself, so there they follow the response.
    """
    if not server.entry.own_copy:
        return server.raw(path, frames)
    raw = server.raw(path)
    raw.send(frames)
    return raw


def test_frames_in_the_segment_of_the_request(server: Running) -> None:
    """Whatever the server read past the request is received, and not taken for another request; the rest follows."""
    name = unique()
    bird = b"bird" * 25_000  # more than a server reads at once
    first = frame(TEXT, b"early") + frame(BINARY, bird)
    with early(server, f"/echo?id={name}", first) as raw:
        assert raw.receive() == (TEXT, b"early")
        assert raw.receive() == (BINARY, bird)
        raw.send(close_frame(1000))
        assert raw.receive().opcode == CLOSE
        assert raw.rest(within=1.0) == b""
    assert server.ended(name) == 1000


def test_a_whole_conversation_in_the_segment_of_the_request(server: Running) -> None:
    name = unique()
    # No Close frame yet: a server that is slow to start its handler may answer it first, and then the echo comes too late.
    with early(server, f"/echo?id={name}", frame(TEXT, b"hello") + frame(TEXT, b"again")) as raw:
        assert raw.receive() == (TEXT, b"hello")
        assert raw.receive() == (TEXT, b"again")
        raw.send(close_frame(1001))
        assert raw.receive() == (CLOSE, b"\x03\xe9")
        assert raw.rest(within=1.0) == b""
    assert server.ended(name) == 1001


def test_ping_is_answered_while_the_handler_is_busy(server: Running) -> None:
    name = unique()
    with server.raw(f"/busy?id={name}") as raw:
        assert raw.receive() == (TEXT, b"busy")
        sent = time.monotonic()
        raw.send(frame(PING, b"anybody there?"))
        assert raw.receive() == (PONG, b"anybody there?")
        assert time.monotonic() - sent < 1.0
        sent = time.monotonic()
        raw.send(close_frame(1000))
        assert raw.receive().opcode == CLOSE
        assert time.monotonic() - sent < 1.0
    assert server.ended(name) == 1000


def test_several_connections_at_a_time(server: Running) -> None:
    if server.entry.one_at_a_time:
        connections = [server.connect("/echo")]
    else:
        connections = [server.connect("/echo") for _ in range(5)]
    for number, ws in enumerate(connections):
        ws.send(f"to {number}")
    for number, ws in reversed(list(enumerate(connections))):
        assert ws.receive(timeout=5) == f"to {number}"
    for ws in connections:
        ws.close()
