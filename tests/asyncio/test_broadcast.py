"""aio_broadcast() and PreparedMessage: one message to many connections."""

from __future__ import annotations

import asyncio
import os

import pytest

from simple_websocket import Compression, ConnectionClosed, PreparedMessage, aio_broadcast

from .peer import Inflating
from .stage import every_end, every_kind, task

OFFER = ("Sec-WebSocket-Extensions: permessage-deflate",)  # or the answer to one
MESSAGES = ["", "short", "h\u00e9 \u20ac " * 3000, "text " * 40_000, b"", b"\x00\xff" * 50, bytes(300_000), bytearray(b"abc")]


@every_kind
@pytest.mark.parametrize("compression", [False, True, Compression(threshold=0)], ids=["plain", "deflate", "everything"])
async def test_a_broadcast_between_a_connections_own_messages(stage, kind, compression):
    ws, peer = await stage.pair(kind, OFFER if compression else (), compression=compression)
    inflating = Inflating()
    for message in MESSAGES:
        await ws.send("before " * 50)
        assert await aio_broadcast([ws], message) == []
        await ws.send("before " * 50)  # what was in the window before the broadcast is not referred to
        got = [inflating.message(await peer.next_frame()) for _ in range(3)]
        sent = message.encode() if isinstance(message, str) else message
        assert got == [b"before " * 50, sent, b"before " * 50]


@every_kind
async def test_a_slow_peer_keeps_nobody_else_waiting(stage, kind):
    slow, peer = await stage.pair(kind, compression=False)
    fast, other = await stage.pair(kind, compression=False)
    big = os.urandom(1 << 20) * 16
    first = task(aio_broadcast([slow, fast], big))
    assert await other.receive() == big
    second = task(aio_broadcast([slow, fast], "behind it"))
    assert await other.receive() == "behind it"
    assert not second.done()
    assert await peer.receive() == big and await peer.receive() == "behind it"
    assert await first == await second == []


@every_kind
async def test_connections_that_have_ended_are_returned(stage, kind):
    ws, peer = await stage.pair(kind)
    gone, dead = await stage.pair(kind)
    closed, _ = await stage.pair(kind)
    dead.reset()
    with pytest.raises(ConnectionClosed):
        await gone.receive(10)
    closing = task(closed.close())
    await asyncio.sleep(0)
    assert set(await aio_broadcast([gone, ws, closed], "still here")) == {gone, closed}
    assert await peer.receive() == "still here"
    closing.cancel()


@every_end
async def test_a_prepared_message_is_sent_like_any_other(stage, kind):
    ws = await stage.connect(await stage.serving(kind))
    for message in MESSAGES:
        prepared = PreparedMessage(message)
        for _ in range(3):
            await ws.send(prepared)
            assert await ws.receive(10) == message
        assert await aio_broadcast([ws], prepared) == []
        assert await ws.receive(10) == message


@every_kind
async def test_lone_surrogates_are_the_callers_mistake(stage, kind):
    ws, peer = await stage.pair(kind)
    with pytest.raises(UnicodeEncodeError):
        await aio_broadcast([ws], "\ud800")
    await ws.send("on")
    assert await peer.receive() == "on"
