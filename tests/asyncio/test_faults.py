"""Faults of the system, the peer and the application: a connection ends in order, or goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

import pytest

from simple_websocket import AioClient, AioServer, ConnectionClosed, ConnectionError
from tests.support.wire import CLOSE, PING, close_payload

from .stage import closed, every_kind, every_server, read_headers, task


@every_kind
async def test_signals_all_the_time(stage, kind):
    """Each system call may be interrupted; none may fail, lose or repeat anything for it (EINTR)."""
    ws, peer = await stage.pair(kind, ping_interval=0.1, ping_timeout=10)
    loop = asyncio.get_running_loop()
    hits = 0

    def hit(*_):
        nonlocal hits
        hits += 1

    before = signal.signal(signal.SIGALRM, hit)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        until_when = loop.time() + 1.0
        number = 0
        while loop.time() < until_when:
            number += 1
            message = f"{number} " * (number * 37 % 4000 + 1)
            await ws.send(message)
            assert await peer.receive() == message
            peer.send(message)
            assert await ws.receive(10) == message
        assert await ws.receive(0.1) is None  # nothing was said twice
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hits > 100 and number > 10 and ws.connected


@every_kind
async def test_a_peer_that_closes_twice(stage, kind):
    ws, peer = await stage.pair(kind)
    twice = peer.make(CLOSE, close_payload(4001, "first")) + peer.make(CLOSE, close_payload(4002, "second"))
    peer.writer.write(peer.message("before") + twice + peer.message("after") + peer.make(PING, b"?"))
    assert await ws.receive(5) == "before"
    for _ in range(2):
        error = await closed(ws.receive())
        assert (error.reason, error.message) == (4001, "first")
    assert (await peer.expect(CLOSE)).code == 4001  # and nothing behind it
    if not peer.client:
        peer.fin()
    await peer.expect_end()


@every_kind
async def test_a_peer_that_answers_our_close_twice(stage, kind):
    ws, peer = await stage.pair(kind)
    closing = task(ws.close(4003, "done"))
    code = (await peer.expect(CLOSE)).code
    peer.writer.write(peer.make(CLOSE, close_payload(code)) * 3)
    if not peer.client:
        peer.fin()
    await peer.expect_end()
    await asyncio.wait_for(closing, 5)
    assert ws.close_reason == 4003
    await ws.close()


class Failure(Exception):
    """What the application raises."""


class Unspeakable:
    """Cannot be made a text of."""

    def __str__(self):
        raise Failure


async def after_accept(ws, error):
    raise error


async def after_receive(ws, error):
    await ws.receive()
    raise error


async def while_iterating(ws, error):
    async for _ in ws:
        raise error


async def in_send(ws, error):
    await ws.receive()
    try:
        await ws.send(Unspeakable())
    except Failure:
        raise error from None


async def while_another_task_receives(ws, error):
    other = task(closed(ws.receive()))
    await asyncio.sleep(0)
    try:
        raise error
    finally:
        ws.other = other


async def after_close(ws, error):
    await ws.close(4000)
    raise error


PLACES = (
    after_accept, after_receive, while_iterating, in_send, while_another_task_receives, after_close,
)  # fmt: skip


@every_server
@pytest.mark.parametrize("error", [Failure, asyncio.CancelledError])
@pytest.mark.parametrize("place", PLACES)
async def test_an_application_that_raises_anywhere(stage, kind, place, error):
    ended = asyncio.get_running_loop().create_future()

    async def application(ws):
        try:
            async with ws:
                await place(ws, error())
        except error:
            if place is while_another_task_receives:
                ws.other.cancel()  # it may have got the message before
            assert not ws.connected
            await closed(ws.send("more"))
            ended.set_result(None)
        else:
            ended.set_exception(AssertionError("it was swallowed"))

    address = await stage.serving(kind, application, close_timeout=1, compression=False)
    ws = await AioClient.connect(address.url, ssl_context=stage.trust(kind), compression=False)
    with suppress(ConnectionClosed):  # it may have been raised by now
        await ws.send("hello")
    code = 4000 if place is after_close else 1011 if error is Failure else 1001
    assert (await drained(ws)).reason == code
    await asyncio.wait_for(ended, 5)
    await ws.close()


async def drained(ws):
    """How the connection has ended, whatever was said before."""

    async def drain():
        while True:
            await ws.receive()

    return await closed(drain())


async def test_choosing_a_subprotocol_fails(stage):
    """Before the handshake is answered: no connection, no descriptor left, and the application gets its exception."""

    class Choosy(AioServer):
        def choose_subprotocol(self, request):
            raise Failure

    failed = []

    async def answer(sock):
        headers = await read_headers(sock)
        try:
            await Choosy.accept(sock=sock, headers=headers)
        except Failure as error:
            failed.append(error)
        finally:
            sock.close()

    address = await stage.listening(answer)
    with pytest.raises((ConnectionError, OSError)):
        await AioClient.connect(address.url)
    assert failed


@every_kind
async def test_a_message_that_cannot_be_sent_changes_nothing(stage, kind):
    ws, peer = await stage.pair(kind)
    for what, error in ((Unspeakable(), Failure), ("half a pair \ud800", UnicodeEncodeError)):
        with pytest.raises(error):
            await ws.send(what)
    with pytest.raises(ValueError):
        await ws.ping(bytes(126))
    await ws.send("fine")
    assert await peer.receive() == "fine"
    peer.send("too")
    assert await ws.receive(5) == "too"
