"""permessage-deflate between an AioClient and an AioServer, and against a scripted peer."""

from __future__ import annotations

import os
import zlib

import pytest

from simple_websocket import Compression

from .peer import Inflating
from .stage import every_end, every_kind, every_server

OFFER = ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",)
ANSWER = ("Sec-WebSocket-Extensions: permessage-deflate",)

OPTIONS = {
    "on": True,
    "off": False,
    "hard": Compression(level=9, memory_level=9, server_max_window_bits=15),
    "small": Compression(level=1, memory_level=1, server_max_window_bits=9, client_max_window_bits=9),
    "afresh": Compression(server_no_context_takeover=True, client_no_context_takeover=True),
    "everything": Compression(threshold=0),
}


@pytest.mark.parametrize("client", OPTIONS)
@pytest.mark.parametrize("server", OPTIONS)
async def test_whatever_both_sides_want(stage, client, server):
    ws = await stage.connect(await stage.serving("aiohttp", compression=OPTIONS[server]), compression=OPTIONS[client])
    for message in ("", "a", "text " * 1000, b"", bytes(100_000), os.urandom(5000), "text " * 1000):
        await ws.send(message)
        assert await ws.receive(5) == message


@every_end
async def test_compressed_echo(stage, kind):
    ws = await stage.connect(await stage.serving(kind))
    for number in range(50):
        message = f"message {number} " * 50
        await ws.send(message)
        assert await ws.receive(5) == message


@every_kind
async def test_messages_are_compressed_from_the_threshold_on(stage, kind):
    ws, peer = await stage.pair(kind, ANSWER, compression=Compression(threshold=100))
    inflating = Inflating()
    for size in (0, 99, 100, 100_000):
        await ws.send(b"x" * size)
        found = await peer.next_frame()
        assert found.rsv1 == (size >= 100) and inflating.message(found) == b"x" * size
        assert size < 1000 or len(found.payload) < size // 50


@every_kind
async def test_a_bomb_is_refused(stage, kind):
    ws, peer = await stage.pair(kind, ANSWER, max_message_size=1 << 20)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflater.compress(bytes(64 << 20)) + deflater.flush(zlib.Z_SYNC_FLUSH)
    peer.send_frame(2, data[:-4], rsv=0x40)
    assert (await peer.expect_close()).code == 1009
    peer.fin()


@every_kind
async def test_what_cannot_be_inflated_is_a_violation(stage, kind):
    ws, peer = await stage.pair(kind, ANSWER)
    peer.send_frame(2, b"\xff" * 50, rsv=0x40)
    assert (await peer.expect_close()).code in (1002, 1007)
    peer.fin()


@every_server
async def test_what_is_not_offered_is_not_used(stage, kind):
    ws, peer = await stage.pair(kind, compression=True)
    await ws.send("x" * 1000)
    assert not (await peer.next_frame()).rsv1
