"""fork() with open connections: they stay the parent's, unharmed, and a child makes connections of its own."""

from __future__ import annotations

import asyncio
import atexit
import gc
import multiprocessing

import pytest

from simple_websocket import AioClient
from tests.support.forking import CAN_FORK, child_of
from tests.support.wire import PING, PONG

from .stage import every_end, every_kind, until

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="this system has no fork")


async def converse(url, trust, count=10):
    """A connection of the child's own, on a loop of its own."""
    async with await AioClient.connect(url, ssl_context=trust, ping_interval=0.05, ping_timeout=10) as ws:
        for number in range(count):
            await ws.send(str(number))
            assert await ws.receive(5) == str(number)
        await until(lambda: ws.latency is not None)
    assert ws.close_reason == 1000


def run_in_child(url, trust):
    """What a process that multiprocessing forks does: its own loop, as the parent's is of no use to it."""
    asyncio.run(converse(url, trust))


@every_end
async def test_a_child_makes_connections_of_its_own(stage, kind):
    address = await stage.serving(kind)
    ws = await stage.connect(address)
    await ws.send("before")
    assert await ws.receive(5) == "before"
    loop = type(asyncio.get_running_loop())

    def child():
        mine = loop()
        mine.run_until_complete(converse(address.url, stage.trust(kind)))
        mine.close()

    for _ in range(2):
        with child_of("asyncio", child) as status:
            await until(lambda: status() is not None, 20)
            assert status() == 0
    await ws.send("after")
    assert await ws.receive(5) == "after"
    await ws.close()
    assert ws.close_reason == 1000


async def test_a_child_of_multiprocessing(stage):
    address = await stage.serving("aiohttp")
    ws = await stage.connect(address, ping_interval=0.1, ping_timeout=10)
    process = multiprocessing.get_context("fork").Process(target=run_in_child, args=(address.url, None))
    process.start()
    await until(lambda: process.exitcode is not None, 20)
    assert process.exitcode == 0
    process.close()
    await ws.send("after")
    assert await ws.receive(5) == "after"


@every_kind
@pytest.mark.parametrize("how", ["lives", "forgets", "exits"])
async def test_a_child_beside_open_connections_neither_reads_nor_writes_them(stage, kind, how):
    """The peer gets each answer once, and the parent each message, also while and after the child drops its copies."""
    ws, peer = await stage.pair(kind, ping_interval=0.2, ping_timeout=10)

    def child():
        if how == "forgets":
            ws.__del__()
        gc.collect()
        if how == "exits":
            atexit._run_exitfuncs()  # what the end of a child that does not os._exit would do
        mine = asyncio.new_event_loop()
        mine.run_until_complete(asyncio.sleep(0.8))
        mine.close()

    sent, pongs = [], []
    with child_of("asyncio", child) as status:
        while status() is None:
            sent.append(str(len(sent)))
            peer.send_frame(PING, sent[-1].encode())
            peer.send(sent[-1])
            while not pongs or pongs[-1] != sent[-1]:
                found = await peer.next_frame()
                if found.opcode == PING:
                    peer.send_frame(PONG, found.payload)
                else:
                    assert found.opcode == PONG, (found.opcode, found.payload)
                    pongs.append(found.payload.decode())
            await asyncio.sleep(0.02)
            assert len(sent) < 250, "the child does not end"  # and so many messages may be unread
        assert status() == 0
    assert [await ws.receive(5) for _ in sent] == sent == pongs
    assert len(sent) > 3 and ws.connected
    peer.send("and this")
    assert await ws.receive(5) == "and this"
    await ws.send("as good as before")
    assert await peer.receive() == "as good as before"
