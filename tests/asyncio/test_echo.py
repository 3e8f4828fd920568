"""Messages there and back between an AioClient and an AioServer of every kind."""

from __future__ import annotations

import asyncio
import os

import pytest

from .stage import every_end

MIB = 1024 * 1024


@every_end
async def test_text_and_binary_messages_come_back(stage, kind):
    ws = await stage.connect(await stage.serving(kind))
    for message in ("hello", "naïve – ☃ 𝄞", "", b"bytes", b"", b"\x00\xff", "x" * 125, "x" * 126, b"y" * 65535, b"y" * 65536):
        await ws.send(message)
        received = await ws.receive(10)
        assert received == message and type(received) is type(message)


@every_end
@pytest.mark.parametrize("compression", [False, True], ids=["plain", "deflate"])
async def test_a_mebibyte_comes_back(stage, kind, compression):
    ws = await stage.connect(await stage.serving(kind, compression=compression), compression=compression)
    for message in (os.urandom(MIB // 2) + bytes(MIB // 2), "grün" * (MIB // 5)):
        await ws.send(message)
        assert await ws.receive(10) == message


@pytest.mark.parametrize("kind", ["aiohttp", "aiohttp-tls", "sock"])
async def test_32_mebibytes_come_back(stage, kind):
    ws = await stage.connect(await stage.serving(kind, compression=False), compression=False)
    message = os.urandom(MIB) * 32
    await ws.send(message)
    assert await ws.receive(30) == message


@every_end
async def test_whatever_is_no_bytes_is_sent_as_text(stage, kind):
    ws = await stage.connect(await stage.serving(kind))
    for sent, received in ((bytearray(b"ab"), b"ab"), (memoryview(b"cd"), b"cd"), (42, "42"), (None, "None"), ([1], "[1]")):
        await ws.send(sent)
        assert await ws.receive(10) == received


@every_end
async def test_a_thousand_messages_in_flight_keep_their_order(stage, kind):
    ws = await stage.connect(await stage.serving(kind))

    async def send():
        for number in range(1000):
            await ws.send(str(number))

    sending = asyncio.ensure_future(send())
    assert [await ws.receive(10) for _ in range(1000)] == [str(number) for number in range(1000)]
    await sending


@every_end
async def test_fifty_connections_at_once(stage, kind):
    address = await stage.serving(kind)
    connections = await asyncio.gather(*(stage.connect(address) for _ in range(50)))
    await asyncio.gather(*(ws.send(str(number)) for number, ws in enumerate(connections)))
    assert await asyncio.gather(*(ws.receive(10) for ws in connections)) == [str(number) for number in range(50)]


@every_end
async def test_a_text_that_is_no_unicode_is_refused_and_the_connection_lives(stage, kind):
    ws = await stage.connect(await stage.serving(kind))
    with pytest.raises(UnicodeEncodeError):
        await ws.send("\ud800")
    await ws.send("next")
    assert await ws.receive(10) == "next"


async def test_a_server_on_asgi_refuses_such_a_text_as_well(stage):
    async def handler(ws):
        with pytest.raises(UnicodeEncodeError):
            await ws.send("\ud800")
        await ws.send("next")

    ws = await stage.connect(await stage.serving("asgi", handler))
    assert await ws.receive(10) == "next"
