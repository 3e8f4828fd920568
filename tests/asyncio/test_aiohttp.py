"""What is aiohttp's own: its books, its responses, its shutdown, and how TCP and TLS end."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiohttp import web

from simple_websocket import AioServer, ConnectionClosed
from tests.support.wire import CLOSE, FrameReader, close_payload, frame, request

from .stage import task, until

both = pytest.mark.parametrize("kind", ["aiohttp", "aiohttp-tls"])
kept = []  # connections that somebody else still refers to when their handler has returned


@both
@pytest.mark.parametrize("keeping", [False, True], ids=["", "kept"])
@pytest.mark.parametrize("how", ["return", "raise", "http", "nothing"])
async def test_a_handler_that_leaves_an_open_connection(stage, kind, how, keeping):
    """The client gets a Close frame and the end of the stream, and not a byte of HTTP."""

    async def view(request):
        ws = await AioServer.accept(aiohttp=request)
        if keeping:
            kept.append(ws)
        await ws.send("hello")
        if how == "raise":
            raise RuntimeError("a mistake")
        if how == "http":
            raise web.HTTPNotFound()
        return None if how == "nothing" else web.Response(text="x" * 1000)

    peer = await stage.dial(await stage.serving_view(view, stage.tls_of(kind)))
    try:
        await peer.ask("127.0.0.1")
        assert await peer.receive() == "hello"
        assert (await peer.expect_close()).code == 1001
        await peer.expect_end()
        await until(lambda: not stage.runner.server.connections)
    finally:
        kept.clear()
    if how in ("raise", "nothing"):
        stage.forgive("Error handling request", "Missing return statement")


@both
async def test_the_books_are_kept(stage, kind):
    async def view(request):
        async with await AioServer.accept(aiohttp=request) as ws:
            async for message in ws:
                await ws.send(message)
        return web.Response()

    address = await stage.serving_view(view, stage.tls_of(kind))
    connections = stage.runner.server
    peers = [await stage.dial(address) for _ in range(10)]
    for peer in peers:
        await peer.ask("127.0.0.1")
    assert len(connections.connections) == 10
    for number, peer in enumerate(peers):
        if number % 3 == 0:
            peer.send_close()
            await peer.expect_close()
        elif number % 3 == 1:
            peer.reset()
        else:
            peer.fin()
    await until(lambda: not connections.connections)


@both
@pytest.mark.parametrize("who", ["server", "client"])
async def test_the_close_frame_is_the_last_thing_and_tls_and_tcp_end(stage, kind, who):
    """Read below TLS as well: close_notify comes, and then a FIN."""

    async def view(request):
        ws = await AioServer.accept(aiohttp=request)
        if who == "server":
            await ws.close(4000)
        with pytest.raises(ConnectionClosed):
            await ws.receive()
        return web.Response(text="goes nowhere")

    address = await stage.serving_view(view, stage.tls_of(kind))
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    try:
        if not stage.tls_of(kind):
            writer.write(request("127.0.0.1"))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(CLOSE, close_payload(4000), masked=True))
            rest = await asyncio.wait_for(reader.read(), 5)
        else:
            rest = await _over_tls(reader, writer, stage.tls.client)
        frames = FrameReader(masked=False)
        frames.feed(rest)
        found = frames.next()
        assert (found.opcode, found.code, frames.next(), frames.rest) == (CLOSE, 4000, None, 0)
    finally:
        writer.close()
        await writer.wait_closed()
    await until(lambda: not stage.runner.server.connections)


async def _over_tls(reader, writer, context):
    """Open and close a WebSocket over TLS made of bytes; return what came behind the handshake, up to close_notify."""
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inward, outward, server_hostname="127.0.0.1")
    received = b""

    async def step(call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                writer.write(outward.read())
                data = await asyncio.wait_for(reader.read(65536), 5)
                inward.write(data) if data else inward.write_eof()
            finally:
                writer.write(outward.read())

    await step(tls.do_handshake)
    await step(lambda: tls.write(request("127.0.0.1")))
    while b"\r\n\r\n" not in received:
        received += await step(lambda: tls.read(65536))
    received = received.partition(b"\r\n\r\n")[2]
    await step(lambda: tls.write(frame(CLOSE, close_payload(4000), masked=True)))
    while True:
        try:
            data = await step(lambda: tls.read(65536))
        except ssl.SSLZeroReturnError:
            break
        if not data:
            break
        received += data
    assert not inward.eof, "TCP ended without close_notify"
    await step(tls.unwrap)  # completes only after the peer's close_notify
    assert await asyncio.wait_for(reader.read(), 5) == b""
    return received


@both
async def test_the_request_is_still_good_for_what_is_asked_about_it(stage, kind):
    got = []

    async def view(request):
        async with await AioServer.accept(aiohttp=request) as ws:
            got.append((request.remote, request.transport.get_extra_info("peername")[0], request.secure))
            await ws.send("x")
        return web.Response()

    peer = await stage.dial(await stage.serving_view(view, stage.tls_of(kind)))
    await peer.ask("127.0.0.1")
    await peer.answer_close()
    assert got == [("127.0.0.1", "127.0.0.1", stage.tls_of(kind))]


@both
async def test_a_server_that_shuts_down_closes_with_1001(stage, kind):
    async def view(request):
        async with await AioServer.accept(aiohttp=request) as ws:
            await ws.receive()
        return web.Response()

    peer = await stage.dial(await stage.serving_view(view, stage.tls_of(kind)))
    await peer.ask("127.0.0.1")
    cleaning = task(stage.runner.cleanup())
    found = await peer.answer_close()
    assert found.code == 1001
    await cleaning
    assert not stage.runner.server


async def test_a_server_that_shuts_down_ends_a_connection_that_nobody_closes(stage):
    ended = []

    async def view(request):
        ws = await AioServer.accept(aiohttp=request)
        kept.append(ws)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(ws)

    peer = await stage.dial(await stage.serving_view(view))
    await peer.ask("127.0.0.1")
    cleaning = task(stage.runner.cleanup())
    assert (await peer.expect_close()).code == 1001
    await peer.expect_end()
    await cleaning
    await until(lambda: ended)
    kept.clear()


async def test_aiohttp_still_serves_http_beside(stage):
    async def view(request):
        if request.headers.get("Upgrade") != "websocket":
            return web.Response(text="http")
        async with await AioServer.accept(aiohttp=request) as ws:
            await ws.send("websocket")
        return web.Response()

    address = await stage.serving_view(view)
    for _ in range(3):
        plain = await stage.dial(address)
        plain.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await plain.read_head()).status == 200 and await plain.reader.readexactly(4) == b"http"
        # A WebSocket on a connection that has been used for HTTP before.
        await plain.ask("127.0.0.1")
        assert await plain.receive() == "websocket"
        await plain.answer_close()
        await plain.expect_end()
