"""What the demo does with a running server: echo all kinds of messages, compare, and measure round trips."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from simple_websocket import Client, Compression, ConnectionClosed
from simple_websocket.backends import resolve

MEBIBYTE = 1024 * 1024
PATIENCE = 10.0  # seconds for one echo


class Differs(Exception):
    """What came back is not what was sent; the message says which."""


@dataclass(frozen=True)
class Measured:
    """Round trips of one connection, one at a time; latencies in microseconds."""

    per_second: float
    p50: float
    p99: float


class WireCount(socket.socket):
    """A socket that keeps the first bytes it receives, and counts all of them: what really went over the wire."""

    received = 0
    sent = 0
    head = b""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(size, flags)
        self.received += len(data)
        if len(self.head) < 4096:
            self.head += data
        return data

    def send(self, data: bytes | memoryview, flags: int = 0, /) -> int:  # type: ignore[override]
        count = super().send(data, flags)
        self.sent += count
        return count


def check_echoes(url: str) -> Iterator[str]:
    """Echo one message of each kind, compare, and yield its name.

    :raises Differs: something else came back, or nothing.
    """
    with _connection(url, compression=False) as ws:
        for name, message in [
            ("text", "Grüße, 世界 🌍"),
            ("binary", bytes(range(256))),
            ("1 MiB", os.urandom(MEBIBYTE)),
        ]:
            _echo(ws, name, message)
            yield name
    yield _check_compressed(url)


def _check_compressed(url: str) -> str:
    """Echo a message that compresses well, and look at what was negotiated and how many bytes were on the wire."""
    sockets: list[WireCount] = []

    def counting(*arguments: int) -> WireCount:
        sockets.append(WireCount(*arguments))
        return sockets[-1]

    message = "all work and no play makes a dull socket. " * (MEBIBYTE // 42)
    with _connection(url, compression=Compression(), backend=replace(resolve(), socket=counting)) as ws:
        wire = sockets[-1]  # of the address that answered
        answer = wire.head.partition(b"\r\n\r\n")[0].lower()
        if b"\r\nsec-websocket-extensions: permessage-deflate" not in answer:
            raise Differs(f"compression was not negotiated; the server's answer was {answer.decode('latin-1')!r}")
        before = wire.sent, wire.received
        _echo(ws, "compressed", message)
        sent, received = wire.sent - before[0], wire.received - before[1]
    for direction, count in (("sent", sent), ("received", received)):
        if count > len(message) // 10:
            raise Differs(f"compressed: {len(message)} bytes were {count} bytes on the wire ({direction})")
    return f"compressed ({len(message) // 1024} KiB as {sent / 1024:.1f} KiB)"


def _echo(ws: Client, name: str, message: str | bytes) -> None:
    ws.send(message)
    answer = ws.receive(timeout=PATIENCE)
    if answer is None:
        raise Differs(f"{name}: nothing came back within {PATIENCE:g} s")
    if type(answer) is not type(message) or answer != message:
        raise Differs(f"{name}: sent {_describe(message)}, got {_describe(answer)}")


def _describe(message: str | bytes) -> str:
    return f"{len(message)} of {type(message).__name__} ({message[:20]!r}...)"


def measure(url: str, seconds: float) -> Measured:
    """Send 64-byte messages, each as soon as the one before came back."""
    times: list[float] = []
    now = time.perf_counter
    with _connection(url, compression=False) as ws:
        warm_up, end = now() + seconds / 10, now() + seconds / 10 + seconds
        number = 0
        while (started := now()) < end:
            number += 1
            message = f"{number:064}"
            ws.send(message)
            answer = ws.receive(timeout=PATIENCE)
            if answer != message:
                raise Differs(f"round trip {number}: sent {message!r}, got {answer!r}")
            if started >= warm_up:
                times.append(now() - started)
    times.sort()
    return Measured(len(times) / seconds, _microseconds(times, 0.50), _microseconds(times, 0.99))


def _microseconds(times: list[float], part: float) -> float:
    return times[min(len(times) - 1, int(part * len(times)))] * 1e6


@contextmanager
def _connection(url: str, **options: object) -> Iterator[Client]:
    """A client's connection whose end is the server's fault."""
    try:
        with Client.connect(url, **options) as ws:
            yield ws
    except ConnectionClosed as closed:
        raise Differs(f"the server ended the connection: {closed}") from None
