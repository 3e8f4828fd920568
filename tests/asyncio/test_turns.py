"""Several tasks that use one connection: who waits behind whom."""

from __future__ import annotations

import asyncio

from .stage import every_kind, task


@every_kind
async def test_a_ping_waits_behind_a_large_message(stage, kind):
    ws, peer = await stage.pair(kind)
    sending = task(ws.send(bytes(32 << 20)))
    await asyncio.sleep(0.2)
    pinging = task(ws.ping(b"behind"))
    await asyncio.sleep(0.1)
    assert not sending.done() and not pinging.done()
    assert len(await peer.receive()) == 32 << 20
    await asyncio.gather(sending, pinging)
    assert (await peer.next_frame()).payload == b"behind"
    peer.send_close()


@every_kind
async def test_several_receivers_of_messages_that_come_together(stage, kind):
    ws, peer = await stage.pair(kind)
    receivers = [task(ws.receive(5)) for _ in range(3)]
    await asyncio.sleep(0.05)
    peer.writer.write(b"".join(peer.message(str(number)) for number in range(5)))
    assert sorted(await asyncio.gather(*receivers)) == ["0", "1", "2"]
    assert [await ws.receive(5), await ws.receive(5)] == ["3", "4"]
    peer.send_close()
