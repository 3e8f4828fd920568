"""close(): codes, deadlines, who ends TCP, and what is written last."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.wire import CLOSE, PING, close_payload

from .stage import closed, every_client, every_kind, every_server, task, until


@every_kind
async def test_our_close(stage, kind):
    ws, peer = await stage.pair(kind)
    closing = task(ws.close(4001, "naïve"))
    found = await peer.answer_close()
    assert (found.code, found.reason) == (4001, "naïve")
    await peer.expect_end()
    await closing
    assert (ws.close_reason, ws.close_message, ws.connected) == (4001, "naïve", False)


@every_kind
async def test_the_default_code_is_1000(stage, kind):
    ws, peer = await stage.pair(kind)
    closing = task(ws.close())
    found = await peer.answer_close()
    assert (found.code, found.reason) == (1000, "")
    await closing


@every_kind
async def test_a_long_reason_is_cut(stage, kind):
    ws, peer = await stage.pair(kind)
    closing = task(ws.close(1000, "é" * 100))
    assert (await peer.answer_close()).reason == "é" * 61
    await closing


@every_kind
async def test_the_peers_close(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send_close(4002, "why not")
    found = await peer.expect_close()
    assert found.code == 4002
    peer.fin()
    await peer.expect_end()
    error = await closed(ws.receive())
    assert (error.reason, error.message) == (4002, "why not")
    await ws.close()


@every_kind
async def test_a_close_without_a_code(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send_close(None)
    assert (await peer.expect_close()).payload == b""
    peer.fin()
    error = await closed(ws.receive())
    assert error.reason == 1005 and not error.message


@every_kind
async def test_codes_that_may_not_be_sent(stage, kind):
    ws, peer = await stage.pair(kind)
    for code in (0, 999, 1004, 1016, 2999, 5000):
        with pytest.raises(ValueError):
            await ws.close(code)
    with pytest.raises(ValueError):
        await ws.close(1000, "\ud800")
    await ws.send("still open")
    assert await peer.receive() == "still open"


@every_kind
async def test_close_may_be_called_by_everybody_and_again(stage, kind):
    ws, peer = await stage.pair(kind)
    closing = [task(ws.close(4000 + number)) for number in range(5)]
    await asyncio.sleep(0)
    await closed(ws.send("too late"))
    assert (await peer.answer_close()).code == 4000
    await peer.expect_end()
    await asyncio.gather(*closing)
    await ws.close(4999)
    assert ws.close_reason == 4000


@every_kind
async def test_a_peer_that_never_answers_is_waited_for_no_longer_than_the_timeout(stage, kind):
    ws, peer = await stage.pair(kind, close_timeout=0.2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting = task(ws.receive())
    await ws.close()
    assert 0.15 < loop.time() - began < 2
    assert (await closed(waiting)).reason == 1006
    await peer.expect_close()
    await peer.expect_end()


@every_kind
async def test_a_peer_that_reads_nothing_does_not_hold_a_close_up(stage, kind):
    ws, peer = await stage.pair(kind, close_timeout=0.2, compression=False)
    sending = task(ws.send(bytes(16 << 20)))
    await asyncio.sleep(0)
    assert not sending.done()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await ws.close()
    assert loop.time() - began < 2
    await closed(sending)


@every_kind
async def test_a_close_timeout_of_nothing(stage, kind):
    ws, peer = await stage.pair(kind, close_timeout=0)
    await ws.close()
    await peer.expect_close()
    await peer.expect_end()
    assert not ws.connected


@every_kind
async def test_messages_in_flight_during_a_close_are_no_violation(stage, kind):
    ws, peer = await stage.pair(kind)
    closing = task(ws.close())
    await peer.expect_close()
    peer.send("in flight")
    peer.send_frame(PING, b"no pong after a Close frame")
    peer.send_close(1000)
    peer.fin()
    await peer.expect_end()
    await closing
    assert ws.close_reason == 1000
    assert await ws.receive() == "in flight"


@every_kind
async def test_a_close_with_a_full_queue_is_not_held_up(stage, kind):
    ws, peer = await stage.pair(kind, max_unread_messages=2)
    peer.writer.write(b"".join(peer.message(str(number)) for number in range(1000)))
    await until(lambda: len(ws._link._unread) == 2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    closing = task(ws.close())
    await peer.answer_close()
    await closing
    assert loop.time() - began < 2 and ws.close_reason == 1000
    assert [await ws.receive(), await ws.receive()] == ["0", "1"]


@every_kind
async def test_the_close_frame_comes_behind_what_is_being_sent(stage, kind):
    ws, peer = await stage.pair(kind, compression=False)
    sending = [task(ws.send(bytes([number]) * (2 << 20))) for number in range(3)]
    await asyncio.sleep(0)
    closing = task(ws.close())
    for number in range(3):
        assert await peer.receive() == bytes([number]) * (2 << 20)
    await peer.answer_close()
    await asyncio.gather(closing, *sending)


@every_kind
async def test_a_close_while_the_peer_closes(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send_close(4444)
    await ws.close(4445)  # crosses the peer's
    found = await peer.expect_close()
    assert found.code in (4444, 4445)
    await peer.expect_end()
    assert ws.close_reason == 4444


@every_client
async def test_a_client_leaves_it_to_the_server_to_end_tcp(stage, kind):
    ws, peer = await stage.pair(kind)
    closing = task(ws.close())
    found = await peer.expect_close()
    peer.send_frame(CLOSE, found.payload)
    with pytest.raises(asyncio.TimeoutError):
        await peer.next_frame(0.15)
    assert not closing.done()
    peer.fin()
    await closing


@every_client
async def test_but_does_not_wait_for_ever(stage, kind):
    ws, peer = await stage.pair(kind)
    closing = task(ws.close())
    found = await peer.expect_close()
    peer.send_frame(CLOSE, found.payload)
    await asyncio.wait_for(closing, 3)
    await peer.expect_end()


@every_server
async def test_the_block_ends_with_1000_1011_or_1001(stage, kind):
    class Mistake(Exception):
        pass

    async def leave(ws, error):
        async with ws:
            if error is not None:
                raise error

    for error, code in ((None, 1000), (Mistake(), 1011), (asyncio.CancelledError(), 1001)):
        ws, peer = await stage.pair(kind)
        leaving = task(leave(ws, error))
        assert (await peer.answer_close()).code == code
        await asyncio.wait([leaving], timeout=5)
        assert leaving.cancelled() if code == 1001 else leaving.exception() is error


@every_kind
async def test_a_cancelled_task_in_the_block_closes_with_1001(stage, kind):
    ws, peer = await stage.pair(kind)

    async def wait():
        async with ws:
            await ws.receive()

    waiting = task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    assert (await peer.answer_close()).code == 1001
    await asyncio.wait([waiting], timeout=5)
    assert waiting.cancelled()


@every_kind
async def test_connection_closed_in_the_block_is_passed_on(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send_close(4005)
    await peer.expect_close()
    peer.fin()

    async def use():
        async with ws:
            await ws.receive()

    assert (await closed(use())).reason == 4005


@every_kind
async def test_an_invalid_code_of_the_peer(stage, kind):
    for payload in (b"\x03", close_payload(1005), close_payload(1006), close_payload(999), close_payload(2000)):
        ws, peer = await stage.pair(kind)
        peer.send_frame(CLOSE, payload)
        assert (await peer.expect_close()).code == 1002
        assert (await closed(ws.receive())).reason == 1002
        peer.fin()
