"""Messages through the proxies: every size and kind, small ones without delay, and what the application sees of the request."""

from __future__ import annotations

import hashlib
import json
import statistics
import time

import pytest

from .conftest import Front

MEBIBYTE = 1024 * 1024
NOISE = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(MEBIBYTE // 32))  # deflate makes nothing of it

MESSAGES = {
    "empty text": "",
    "empty binary": b"",
    "text": "Grüße, 世界 🌍",
    "every byte": bytes(range(256)),
    "64 KiB": NOISE[:65536],
    "1 MiB text": "é" * (MEBIBYTE // 2),
    "1 MiB": NOISE,
    "32 MiB": NOISE[:1024] * (32 * 1024),
}


@pytest.mark.parametrize("compression", [True, False], ids=["deflate", "plain"])
def test_echo(front: Front, compression: bool) -> None:
    with front.connect("/echo", compression=compression) as ws:
        for name, message in MESSAGES.items():
            ws.send(message)
            assert ws.receive(timeout=30) == message, name
    assert ws.close_reason == 1000


def test_small_messages_are_not_kept_back(front: Front) -> None:
    """Neither by a buffer that waits to be full nor by acknowledgements that come 40 ms late: one message at a time."""
    times = []
    with front.connect("/tell?count=50") as ws:
        for number in range(50):
            started = time.monotonic()
            assert ws.receive(timeout=5) == str(number)
            ws.send("got it")
            times.append(time.monotonic() - started)
    # The machine may be busy for a moment, and so the middle one of them counts.
    assert statistics.median(times[1:]) < 0.02, times


def test_many_small_messages_in_flight(front: Front) -> None:
    with front.connect("/echo", compression=False) as ws:
        for number in range(500):
            ws.send(f"{number}")
        for number in range(500):
            assert ws.receive(timeout=5) == f"{number}"


def test_forwarded_headers(front: Front) -> None:
    _, port = front.proxy.address(front.tls)
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "evil.example"}
    with front.connect("/request?x=1", headers={**forged, "X-Token": "abc"}) as ws:
        found = json.loads(ws.receive(timeout=5))
    secure = "s" if front.tls else ""
    assert found == {
        "headers": {
            "HTTP_X_FORWARDED_FOR": "127.0.0.1",
            "HTTP_X_FORWARDED_PROTO": f"http{secure}",
            "HTTP_X_FORWARDED_HOST": f"127.0.0.1:{port}",
            "HTTP_X_TOKEN": "abc",
        },
        "url": f"http{secure}://127.0.0.1:{port}/request?x=1",
        "remote": "127.0.0.1",
    }
