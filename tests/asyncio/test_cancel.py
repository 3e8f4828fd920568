"""Cancelling any call at any await leaves the connection usable, or closed: never torn.

The peer parses every frame, and inflates every message with one context: what is torn or missing shows.
"""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from simple_websocket import AioClient, AioServer, ConnectionClosed, ConnectionError
from tests.support.wire import CLOSE

from .peer import Inflating
from .stage import closed, every_client, every_kind, read_headers, task, until

ROUNDS = int(os.environ.get("CANCEL_ROUNDS", "40"))
SEED = os.environ.get("CANCEL_SEED", "")  # for other points
DEFLATE = ("Sec-WebSocket-Extensions: permessage-deflate",)


async def later(chance: random.Random) -> None:
    """Go on at some point of the next turns of the loop."""
    for _ in range(chance.choice([0, 0, 1, 1, 2, 3, 5, 8])):
        await asyncio.sleep(0)
    if chance.random() < 0.2:
        await asyncio.sleep(chance.random() * 0.004)


async def cancel(chance: random.Random, call: asyncio.Task) -> bool:
    """Cancel at some point; return whether the call came to its end before."""
    await later(chance)
    call.cancel()
    await asyncio.wait([call])
    return not call.cancelled()


@every_kind
@pytest.mark.parametrize("compression", [False, True], ids=["plain", "deflate"])
async def test_send(stage, kind, compression):
    ws, peer = await stage.pair(kind, DEFLATE if compression else (), compression=compression)
    chance, inflating = random.Random(kind + SEED), Inflating()
    received = []

    async def read():
        while not received or received[-1] != b"the last":
            received.append(inflating.message(await peer.next_frame()))
            if chance.random() < 0.2:
                await asyncio.sleep(0.001)

    reading = task(read())
    whole, begun = [], []
    for number in range(ROUNDS):
        size = chance.choice([10, 1000, 70_000, 600_000])
        message = number.to_bytes(4, "big") + (os.urandom(size) if chance.random() < 0.5 else b"compressible" * (size // 12))
        begun.append(message)
        if await cancel(chance, task(ws.send(message))):
            whole.append(message)
    await ws.send(b"the last")
    await asyncio.wait_for(reading, 20)
    assert received.pop() == b"the last"
    assert [message for message in begun if message in received] == received, "another order, or torn"
    assert [message for message in whole if message not in received] == []


@every_kind
async def test_receive(stage, kind):
    ws, peer = await stage.pair(kind, max_unread_messages=3)
    chance = random.Random(kind + SEED)
    count = ROUNDS * 3

    async def send():
        for number in range(count):
            peer.send(f"{number} " + "x" * chance.choice([1, 100, 30_000]))
            await peer.writer.drain()
            await later(chance)

    sending = task(send())
    received = []
    while len(received) < count:
        receiving = [task(ws.receive(chance.choice([None, None, 0, 0.001, 5]))) for _ in range(chance.choice([1, 1, 2]))]
        await later(chance)
        for one in receiving:
            one.cancel()
        await asyncio.wait(receiving)
        # Of two that wait differently, either may be the first.
        received += sorted(int(one.result().split()[0]) for one in receiving if not one.cancelled() and one.result() is not None)
    await sending
    assert received == list(range(count))


@every_kind
async def test_close(stage, kind):
    chance = random.Random(kind + SEED)
    for number in range(ROUNDS // 4):
        ws, peer = await stage.pair(kind, close_timeout=0.5)
        waiting = task(ws.receive())
        sending = task(ws.send(bytes(chance.choice([10, 200_000]))))
        await later(chance)
        answering = task(peer.answer_close())
        if not await cancel(chance, task(ws.close(4000 + number))) and ws.connected:
            await ws.close(4000 + number)  # it was cancelled before it began
        await closed(waiting)
        assert (await answering).code == 4000 + number
        await peer.expect_end()
        await asyncio.gather(sending, return_exceptions=True)
        await ws.close()
        assert ws.close_reason == 4000 + number


@every_kind
async def test_ping(stage, kind):
    ws, peer = await stage.pair(kind)
    chance = random.Random(kind + SEED)
    begun = 0
    for _ in range(ROUNDS):
        call = task(ws.ping(b"ping"))
        await cancel(chance, call)
    await ws.send("the last")
    assert await peer.receive() == "the last" and begun <= peer.pings <= ROUNDS


async def test_accept_of_a_socket(stage):
    chance = random.Random(SEED)
    results = []

    async def answer(sock):
        call = task(AioServer.accept(sock=sock, headers=await read_headers(sock), close_timeout=0.5))
        await asyncio.sleep(0)  # before it begins, the socket is the caller's
        if await cancel(chance, call):
            ws = call.result()
            await ws.send("usable")
            await ws.close(4000)
        results.append(call)

    address = await stage.listening(answer)
    usable = 0
    for number in range(ROUNDS):
        peer = await stage.dial(address)
        try:
            await peer.ask("127.0.0.1")
            found = await peer.next_frame()
            if found is not None and found.opcode != CLOSE:
                assert found.text == "usable" and (await peer.answer_close()).code == 4000
                usable += 1
            await peer.expect_end()
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass  # closed before it was opened
        await peer.close()
        await until(lambda number=number: len(results) == number + 1)
    assert usable == sum(not call.cancelled() for call in results)


@every_client
async def test_connect(stage, kind):
    chance = random.Random(kind + SEED)
    ended = 0

    async def answer(peer):
        nonlocal ended
        try:
            await peer.accept()
            await peer.expect_close()
        except (AssertionError, AttributeError, asyncio.IncompleteReadError, ConnectionError, OSError):
            pass  # it went before; asyncio's TLS streams say so with an AttributeError now and then
        ended += 1
        await peer.close()

    address = await stage.answering(answer, stage.tls_of(kind))
    usable = 0
    for _ in range(ROUNDS):
        call = task(AioClient.connect(address.url, ssl_context=stage.trust(kind)))
        await later(chance)
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.01)
        if await cancel(chance, call):
            usable += 1
            ws = call.result()
            await ws.send("usable")
            await ws.close()
    assert usable < ROUNDS


@every_kind
async def test_everything_at_once(stage, kind):
    """Tasks that send, receive and ping are cancelled all the time, and what the peer reads stays whole."""
    ws, peer = await stage.pair(kind, DEFLATE)
    inflating = Inflating()
    seen = 0

    async def read():
        nonlocal seen
        while (found := await peer.next_frame(30)) is not None and found.opcode != CLOSE:
            if found.opcode < CLOSE:
                message = inflating.message(found)
                assert message == message[:1] * len(message)
                seen += 1
                peer.send(str(seen))
        peer.send_close()
        peer.fin()

    async def work(seed):
        mine = random.Random(f"{seed}{SEED}")
        while True:
            call = mine.choice([lambda: ws.receive(), lambda: ws.receive(0.001), lambda: ws.ping(b"x")])
            if mine.random() < 0.5:
                data = bytes([mine.randrange(256)]) * mine.choice([1, 100, 100_000, 400_000])
                await cancel(mine, task(ws.send(data)))
            else:
                await cancel(mine, task(call()))

    reading = task(read())
    working = [task(work(seed)) for seed in range(4)]
    await until(lambda: seen > ROUNDS or reading.done(), 30)
    for one in working:
        one.cancel()
    await asyncio.wait(working)
    draining = task(drain(ws))
    await ws.close()
    await reading
    await draining


async def drain(ws):
    try:
        while True:
            await ws.receive()
    except ConnectionClosed:
        pass
