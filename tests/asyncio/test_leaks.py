"""Many connections, one after the other, leave nothing; neither do those that nobody closed."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from simple_websocket import AioClient, AioServer, ConnectionClosed
from simple_websocket.aiolink import AioLink

from .stage import every_kind, every_server, read_headers, task, until


@pytest.mark.parametrize("kind, cycles", [("aiohttp", 1000), ("sock", 300), ("aiohttp-tls", 200)])
async def test_a_thousand_cycles_leave_nothing(stage, kind, cycles):
    address = await stage.serving(kind)
    gc.collect()
    tasks = len(asyncio.all_tasks())
    links = []
    for number in range(cycles):
        ws = await AioClient.connect(address.url, ssl_context=stage.trust(kind))
        if number % 100 == 0:
            links.append(weakref.ref(ws._link))
            await ws.send("x")
            assert await ws.receive(5) == "x"
        await ws.close()
    del ws
    if stage.runner is not None:
        await until(lambda: not stage.runner.server.connections)
    if kind == "sock":
        tasks += cycles  # the stage's own, which it keeps
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await until(lambda: not [link for link in links if link() is not None] or gc.collect() and False)
    await until(lambda: not [found for found in gc.get_objects() if type(found) is AioLink and not found._ended])


@every_kind
async def test_an_open_connection_that_is_forgotten(stage, kind):
    """Its peer gets a Close frame and the end of the stream."""
    if kind.startswith("client"):
        got = asyncio.get_running_loop().create_future()

        async def answer(peer):
            await peer.accept()
            got.set_result(peer)

        address = await stage.answering(answer, stage.tls_of(kind))
        ws = await AioClient.connect(address.url, ssl_context=stage.trust(kind))
        peer = await got
    else:
        held = []
        over = asyncio.Event()

        async def hold(ws):
            held.append(ws)
            del ws
            await over.wait()

        if kind == "sock":

            async def serve(sock):
                held.append(await AioServer.accept(sock=sock, headers=await read_headers(sock)))

            address = await stage.listening(serve)
        else:
            from aiohttp import web

            async def view(request):
                held.append(await AioServer.accept(aiohttp=request))
                await over.wait()
                return web.Response()

            address = await stage.serving_view(view, stage.tls_of(kind))
        peer = await stage.dial(address)
        await peer.ask("127.0.0.1")
        await until(lambda: held)
        ws = held.pop()
    await ws.send("hello")
    assert await peer.receive() == "hello"
    link = weakref.ref(ws._link)
    del ws
    assert (await peer.expect_close()).code == 1001
    await peer.expect_end()
    await peer.close()
    if not kind.startswith("client"):
        over.set()
    await until(lambda: link() is None or (gc.collect(), link() is None)[1])


async def test_garbage_is_collected_in_another_thread(stage):
    holder = {}
    got = asyncio.get_running_loop().create_future()

    async def answer(peer):
        await peer.accept()
        got.set_result(peer)

    holder["ws"] = await AioClient.connect((await stage.answering(answer)).url)
    peer = await got
    thread = threading.Thread(target=holder.clear)
    thread.start()
    thread.join()
    assert (await peer.expect_close()).code == 1001
    await peer.expect_end()


@every_server
async def test_no_task_and_no_timer_for_each_connection(stage, kind):
    before = len(asyncio.all_tasks())
    ws, peer = await stage.pair(kind)
    tasks = [one for one in asyncio.all_tasks() if "simple_websocket" in str(one.get_coro())]
    assert not tasks and not ws._link._timer.running and len(asyncio.all_tasks()) <= before + 5


@pytest.mark.parametrize("ping", [None, 30])
async def test_tasks_that_wait_and_are_forgotten_with_the_loop(stage, ping):
    """Waiters of a connection that ends are all woken, however many there are."""
    ws, peer = await stage.pair("sock", ping_interval=ping)
    waiting = [task(ws.receive()) for _ in range(200)]
    await asyncio.sleep(0)
    peer.reset()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, ConnectionClosed) for result in results) and not ws._link._receivers
    assert not ws._link._timer.running
