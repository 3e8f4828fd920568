"""Connections that are lost, and peers that break the protocol."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.wire import BINARY, CLOSE, CONTINUATION, PING, TEXT

from .stage import closed, every_kind, task, until


@every_kind
@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_lost_connection_is_1006(stage, kind, how):
    ws, peer = await stage.pair(kind)
    waiting = task(ws.receive())
    await asyncio.sleep(0)
    getattr(peer, how)()
    error = await closed(waiting)
    assert (error.reason, error.message) == (1006, None)
    await closed(ws.send("x"))
    await ws.close()
    assert ws.close_reason == 1006


@every_kind
async def test_the_end_of_the_stream_inside_a_frame_is_1006(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.writer.write(peer.message("x" * 1000)[:500])
    peer.fin()
    assert (await closed(ws.receive())).reason == 1006


@every_kind
async def test_a_loss_is_noticed_while_the_application_awaits_something_else(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.reset()
    await until(lambda: not ws.connected)
    await closed(ws.send("x"))


@every_kind
@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_sender_that_waits_learns_of_the_loss(stage, kind, how):
    ws, peer = await stage.pair(kind, compression=False)
    sending = [task(ws.send(bytes(8 << 20))) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in sending)
    peer.reset() if how == "reset" else peer.writer.transport.abort()
    for one in sending:
        assert (await closed(one)).reason == 1006


def violations(make):
    """Frames that break RFC 6455, and the code that each has to be answered with."""
    return {
        "an unknown opcode": (make(3), 1002),
        "an unknown control opcode": (make(11), 1002),
        "a reserved bit": (make(TEXT, b"x", rsv=0x20), 1002),
        "compression that was not agreed": (make(TEXT, b"x", rsv=0x40), 1002),
        "a continuation of nothing": (make(CONTINUATION, b"x"), 1002),
        "a message in a message": (make(TEXT, b"x", fin=False) + make(TEXT, b"y"), 1002),
        "a fragmented ping": (make(PING, b"x", fin=False), 1002),
        "a ping that is too long": (make(PING, b"x" * 126), 1002),
        "text that is no UTF-8": (make(TEXT, b"\xff\xfe"), 1007),
        "fragments that are no UTF-8": (make(TEXT, "é".encode()[:1], fin=False) + make(CONTINUATION, b"x"), 1007),
        "a close reason that is no UTF-8": (make(CLOSE, b"\x03\xe8\xff"), 1007),
        "more than the limit": (make(BINARY, bytes(1001)), 1009),
        "fragments of more than the limit": (make(BINARY, bytes(600), fin=False) + make(CONTINUATION, bytes(401)), 1009),
    }


@every_kind
@pytest.mark.parametrize("what", [*violations(lambda *_, **__: b"")])
async def test_violations(stage, kind, what):
    # Nobody receives the message in front, so the failure waits for as long as the close timeout lets it.
    ws, peer = await stage.pair(kind, max_message_size=1000, close_timeout=0.3)
    peer.send(b"x" * 1000)
    data, code = violations(peer.make)[what]
    peer.writer.write(data)
    found = await peer.expect_close()
    assert found.code == code
    peer.fin()
    await peer.expect_end()
    assert await ws.receive(5) == b"x" * 1000
    error = await closed(ws.receive())
    assert error.reason == code and error.message
    await closed(ws.send("x"))


@every_kind
async def test_frames_masked_the_wrong_way(stage, kind):
    ws, peer = await stage.pair(kind)
    peer.client = not peer.client
    peer.send("x")
    peer.client = not peer.client
    assert (await peer.expect_close()).code == 1002
    assert (await closed(ws.receive())).reason == 1002


@every_kind
async def test_a_peer_that_goes_on_after_its_violation_gets_the_close_frame(stage, kind):
    """What it still sends must not make the kernel reset the connection and lose the frame."""
    ws, peer = await stage.pair(kind)
    peer.send_frame(3)
    for _ in range(200):
        peer.send(b"x" * 1000)
    assert (await peer.expect_close()).code == 1002
    peer.fin()
    await peer.expect_end()
    await closed(ws.receive())
    await ws.close()


@every_kind
async def test_a_header_that_announces_too_much_is_refused_at_once(stage, kind):
    ws, peer = await stage.pair(kind, max_message_size=1 << 20)
    peer.writer.write(bytes([0x82, 127 | (0x80 if peer.client else 0)]) + (1 << 40).to_bytes(8, "big") + bytes(4))
    assert (await peer.expect_close()).code == 1009
    assert (await closed(ws.receive())).reason == 1009
