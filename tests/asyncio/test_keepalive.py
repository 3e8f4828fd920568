"""Pings: answering them, sending them, and whom they find dead."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.wire import PING, PONG

from .stage import closed, every_kind, task, until


async def answer_pings(peer):
    """Read until the stream ends, and answer pings."""
    while (found := await peer.next_frame(30)) is not None:
        if found.opcode == PING:
            peer.pings += 1
            peer.send_frame(PONG, found.payload)


@every_kind
async def test_a_ping_is_answered_while_the_application_awaits_something_else(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send_frame(PING, b"are you there")
    assert (await peer.expect(PONG)).payload == b"are you there"
    peer.send_frame(PING)
    assert (await peer.expect(PONG)).payload == b""
    assert ws.connected


@every_kind
async def test_our_ping_and_its_latency(stage, kind):
    ws, peer = await stage.pair(kind)
    assert ws.latency is None
    await ws.ping(b"x" * 125)
    found = await peer.expect(PING)
    assert found.payload == b"x" * 125 and ws.latency is None
    peer.send_frame(PONG, b"another")
    peer.send_frame(PONG, found.payload)
    await until(lambda: ws.latency is not None)
    assert 0 < ws.latency < 5
    with pytest.raises(ValueError):
        await ws.ping(b"x" * 126)


@every_kind
async def test_without_an_interval_there_are_no_pings(stage, kind):
    ws, peer = await stage.pair(kind)
    with pytest.raises(asyncio.TimeoutError):
        await peer.next_frame(0.1)


@every_kind
async def test_a_silent_peer_ends_receive(stage, kind):
    ws, peer = await stage.pair(kind, ping_interval=0.1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert (await closed(ws.receive())).reason == 1008
    assert 0.15 < loop.time() - began < 3
    assert (await peer.expect_close()).code == 1008
    await peer.expect_end()


@every_kind
async def test_a_silent_peer_is_found_while_the_application_awaits_something_else(stage, kind):
    ws, peer = await stage.pair(kind, ping_interval=0.1)
    await until(lambda: not ws.connected, 3)
    assert (await closed(ws.send("x"))).reason == 1008
    assert (await closed(ws.receive())).reason == 1008


@every_kind
async def test_a_peer_that_takes_nothing_ends_a_waiting_send(stage, kind):
    ws, peer = await stage.pair(kind, ping_interval=0.2, compression=False)
    assert (await closed(ws.send(bytes(32 << 20)))).reason == 1008


@every_kind
async def test_a_timeout_of_its_own(stage, kind):
    ws, peer = await stage.pair(kind, ping_interval=0.05, ping_timeout=0.3)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert (await closed(ws.receive())).reason == 1008
    assert 0.3 < loop.time() - began < 4


@every_kind
@pytest.mark.parametrize("receiving", [True, False])
async def test_a_peer_that_answers_survives(stage, kind, receiving):
    ws, peer = await stage.pair(kind, ping_interval=0.05, ping_timeout=1)
    answering = task(answer_pings(peer))
    waiting = task(ws.receive()) if receiving else None
    await until(lambda: peer.pings >= 5)
    assert ws.connected and 0 < ws.latency < 1
    if waiting is not None:
        waiting.cancel()
    answering.cancel()
    await asyncio.gather(*filter(None, (waiting, answering)), return_exceptions=True)


@every_kind
async def test_a_peer_that_only_sends_survives(stage, kind):
    """Every byte is a sign of life, inside a message too."""
    ws, peer = await stage.pair(kind, ping_interval=0.1)
    message = peer.message("x" * 30)
    for byte in message:
        peer.writer.write(bytes([byte]))
        await asyncio.sleep(0.012)
    assert await ws.receive(0) == "x" * 30 and ws.connected


@pytest.mark.parametrize("kind", ["sock", "aiohttp-tls"])
async def test_a_peer_that_reads_slowly_survives(stage, kind):
    """The pings wait behind a large message, and a peer that takes of it lives."""
    ws, peer = await stage.pair(kind, ping_interval=0.4, compression=False)
    size = 24 << 20
    sending = task(ws.send(bytes(size)))
    read = 0
    while read < size:
        data = await peer.reader.read(1 << 18)
        assert data, "given up"
        read += len(data)
        if read < (16 << 20):  # for 1.6 seconds at least; the kernel passes it on in steps of some megabytes
            await asyncio.sleep(len(data) / (10 << 20))
    await sending
    assert ws.connected


@every_kind
async def test_a_peer_whose_messages_nobody_receives_survives(stage, kind):
    """Its pongs are behind messages that there is no room for."""
    ws, peer = await stage.pair(kind, ping_interval=0.05, max_unread_messages=1)
    answering = task(answer_pings(peer))
    for number in range(3):
        peer.send(str(number))
    await until(lambda: peer.pings >= 6)
    assert ws.connected
    assert [await ws.receive(5) for _ in range(3)] == ["0", "1", "2"]
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)


@every_kind
async def test_pings_of_a_peer_that_reads_nothing_are_not_remembered_for_ever(stage, kind):
    ws, peer = await stage.pair(kind, compression=False)
    sending = task(ws.send(bytes(16 << 20)))
    await asyncio.sleep(0)
    for number in range(2000):
        peer.send_frame(PING, number.to_bytes(4, "big") * 30)
    peer.send("behind them")
    assert await ws.receive(5) == "behind them"
    found = await peer.next_frame()
    assert len(found.payload) == 16 << 20
    await sending
    await ws.send("after")
    pongs = 0
    while (found := await peer.next_frame()).opcode == PONG:
        pongs += 1
        last = found.payload
    assert found.text == "after" and 1 <= pongs < 200 and last == (1999).to_bytes(4, "big") * 30
