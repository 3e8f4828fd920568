"""receive(): timeouts, waiters, fragments, and what came before the end."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.wire import BINARY, CONTINUATION, PING, PONG, TEXT

from .stage import closed, every_kind, every_server, task, until


@every_kind
async def test_timeouts(stage, kind):
    ws, peer = await stage.pair(kind)
    loop = asyncio.get_running_loop()
    assert await ws.receive(0) is None
    began = loop.time()
    assert await ws.receive(0.05) is None
    assert 0.045 <= loop.time() - began < 2
    waiting = task(ws.receive(5))
    await asyncio.sleep(0)
    peer.send("in time")
    assert await waiting == "in time"


@every_kind
async def test_a_timeout_of_nothing_gets_what_has_arrived(stage, kind):
    ws, peer = await stage.pair(kind)
    for number in range(3):
        peer.send(str(number))
    await peer.writer.drain()
    assert await ws.receive(5) == "0"
    assert [await ws.receive(0), await ws.receive(0), await ws.receive(0)] == ["1", "2", None]


@every_kind
async def test_polling_alone_gets_everything(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send("polled")
    received = []
    while not received:
        message = await ws.receive(0)
        if message is not None:
            received.append(message)
    assert received == ["polled"]


@every_kind
async def test_empty_messages_are_messages(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send("")
    peer.send(b"")
    assert [await ws.receive(5), await ws.receive(5)] == ["", b""]


@every_kind
async def test_waiters_get_one_message_each(stage, kind):
    ws, peer = await stage.pair(kind)
    waiters = [task(ws.receive()) for _ in range(5)]
    await asyncio.sleep(0)
    for number in range(5):
        peer.send(str(number))
    assert await asyncio.gather(*waiters) == ["0", "1", "2", "3", "4"]


@every_kind
@pytest.mark.parametrize("how", ["peer", "local", "lost"])
async def test_all_waiters_get_connection_closed_every_time(stage, kind, how):
    ws, peer = await stage.pair(kind)
    waiters = [task(ws.receive()) for _ in range(3)] + [task(ws.receive(timeout=20)) for _ in range(2)]
    await asyncio.sleep(0)
    if how == "peer":
        peer.send_close(4321, "bye")
        await peer.expect_close()
        peer.fin()
    elif how == "lost":
        peer.reset()
    else:
        closing = task(ws.close(4321, "bye"))
        await peer.answer_close()
        await closing
    expected = (1006, None) if how == "lost" else (4321, "bye")
    for waiter in waiters:
        error = await closed(waiter)
        assert (error.reason, error.message) == expected
    for call in (ws.receive(), ws.receive(0), ws.receive(1), ws.send("x"), ws.ping()):
        assert (await closed(call)).reason == expected[0]
    assert (ws.close_reason, ws.close_message) == expected and not ws.connected


@every_kind
async def test_messages_before_a_close_are_delivered(stage, kind):
    ws, peer = await stage.pair(kind)
    for number in range(100):
        peer.send(str(number))
    peer.send_close(4000)
    await peer.expect_close()
    await until(lambda: not ws.connected)
    assert [await ws.receive(0) for _ in range(100)] == [str(number) for number in range(100)]
    assert (await closed(ws.receive())).reason == 4000


@every_kind
async def test_messages_before_the_end_of_the_stream_are_delivered(stage, kind):
    ws, peer = await stage.pair(kind, max_unread_messages=3)
    peer.writer.write(b"".join(peer.message(str(number)) for number in range(50)))
    await peer.writer.drain()
    peer.fin()
    assert [await ws.receive(5) for _ in range(50)] == [str(number) for number in range(50)]
    assert (await closed(ws.receive())).reason == 1006


@every_kind
async def test_messages_that_arrived_before_a_reset_are_delivered(stage, kind):
    ws, peer = await stage.pair(kind, max_unread_messages=3)
    peer.writer.write(b"".join(peer.message(str(number)) for number in range(50)))
    assert await ws.receive(5) == "0"  # they are all in one segment
    peer.reset()
    while ws.connected:  # reading has stopped, so it shows when something is sent
        try:
            await ws.send("x")
        except RuntimeError:
            break
        await asyncio.sleep(0.002)
    assert [await ws.receive(5) for _ in range(49)] == [str(number) for number in range(1, 50)]
    assert (await closed(ws.receive())).reason == 1006


@every_kind
async def test_what_was_received_can_be_had_after_closing(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send("early")
    peer.send_frame(PING, b"mark")
    await peer.expect(PONG)
    closing = task(ws.close())
    await peer.answer_close()
    await closing
    assert await ws.receive() == "early"
    await closed(ws.receive())


@every_kind
async def test_fragments_with_control_frames_between(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send_frame(TEXT, b"na", fin=False)
    peer.send_frame(PING, b"between")
    peer.send_frame(CONTINUATION, "ï".encode()[:1], fin=False)
    peer.send_frame(PONG, b"nobody asked")
    peer.send_frame(CONTINUATION, "ï".encode()[1:] + b"ve")
    peer.send_frame(BINARY, b"", fin=False)
    peer.send_frame(CONTINUATION, b"")
    assert await ws.receive(5) == "naïve"
    assert await ws.receive(5) == b""
    assert (await peer.expect(PONG)).payload == b"between"


@every_kind
async def test_one_byte_at_a_time(stage, kind):
    ws, peer = await stage.pair(kind)
    for byte in peer.message("x" * 200):
        peer.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert await ws.receive(5) == "x" * 200


@every_kind
async def test_a_cancelled_receive_loses_nothing(stage, kind):
    ws, peer = await stage.pair(kind)
    for turns in range(6):
        waiting = task(ws.receive())
        await asyncio.sleep(0)
        peer.send(f"message {turns}")
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        if waiting.cancel():
            try:
                received = await waiting
            except asyncio.CancelledError:
                received = await ws.receive(5)
        else:
            received = waiting.result()
        assert received == f"message {turns}"


def cancel_between(ws, waiting):
    """Cancel a receive after a message has woken the task, and before the task has run."""
    loop, turn = asyncio.get_running_loop(), ws._link._receivers[0]

    def look():
        if turn.done():
            waiting.cancel()
        else:
            loop.call_soon(look)

    look()


@every_kind
async def test_a_message_for_a_cancelled_waiter_goes_to_the_next(stage, kind):
    ws, peer = await stage.pair(kind)
    first, second = task(ws.receive()), task(ws.receive())
    await asyncio.sleep(0)
    cancel_between(ws, first)
    peer.writer.write(peer.message("only one") + peer.make(PING))  # not alone: then it would be received at once
    assert await asyncio.wait_for(second, 5) == "only one"
    assert first.cancelled()


@every_kind
async def test_what_a_cancelled_receiver_had_comes_before_what_arrived_later(stage, kind):
    ws, peer = await stage.pair(kind)
    waiting = task(ws.receive())
    await asyncio.sleep(0)
    cancel_between(ws, waiting)
    peer.writer.write(b"".join(peer.message(text) for text in ("first", "second", "third")))
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [await ws.receive(5) for _ in range(3)] == ["first", "second", "third"]


@every_kind
async def test_the_last_message_of_a_cancelled_receiver_survives_the_end(stage, kind):
    ws, peer = await stage.pair(kind)
    waiting = task(ws.receive(5))
    await asyncio.sleep(0)
    cancel_between(ws, waiting)
    peer.send("last")
    peer.send_close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: not ws.connected)
    assert await ws.receive() == "last"
    assert (await closed(ws.receive())).reason == 1000


@every_server
async def test_iteration_ends_with_any_close(stage, kind):
    for code in (1000, 1001, 4000, None):
        ws, peer = await stage.pair(kind)
        peer.send("one")
        peer.send(b"two")
        peer.send_close(code, "" if code is None else "why")
        assert [message async for message in ws] == ["one", b"two"]
        assert ws.close_reason == (1005 if code is None else code)
        assert not ws.close_message or ws.close_message == "why"


@every_kind
async def test_iteration_ends_when_the_connection_is_lost(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.send("one")
    peer.fin()
    assert [message async for message in ws] == ["one"]
    assert ws.close_reason == 1006
