"""RFC 6455 and RFC 7692, case by case, against the asyncio classes: the scripts that the sync classes are played, too.

`AioServer` over a socket and `AioClient`; by turns the peer writes all at once or byte by byte.
"""

from __future__ import annotations

import asyncio
import socket

import pytest

from simple_websocket import AioServer, ConnectionClosed, ConnectionError
from tests.support import script_rfc6455, script_rfc7692
from tests.support.script import Script, name_of, played
from tests.support.script_handshake import REQUESTS, RESPONSES, request, response
from tests.support.script_rfc7692 import ANSWERS, OFFERS, packed
from tests.support.wire import CLOSE, TEXT, Frame
from tests.support.wire import response as accepting

from .peer import Peer
from .stage import closed, read_headers, task

KINDS = {"client": "client", "server": "sock"}


@pytest.mark.parametrize("side, size, script", played(script_rfc6455.SCRIPTS), ids=name_of)
async def test_rfc_6455(stage, side, size, script):
    await play(stage, script, side, size)


@pytest.mark.parametrize("side, size, script", played(script_rfc7692.SCRIPTS), ids=name_of)
async def test_rfc_7692(stage, side, size, script):
    await play(stage, script, side, size)


async def play(stage, script: Script, side: str, size: int) -> None:
    ws, peer = await stage.pair(KINDS[side], script.headers, **script.options)
    stream = script.stream(peer.client)
    # Before anything is written: asyncio's reader forgets what it has when a reset comes.
    ending = None if script.ends is None else task(read_to_the_end(script, peer))
    if size == 1:
        peer.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(stream)):
            if not ws.connected:
                break  # what comes behind the end; a server has ended TCP by now
            peer.writer.write(stream[i : i + 1])
            await asyncio.sleep(0)
    else:
        peer.writer.write(stream)
    if ending is None:
        await stays_open(script, ws, peer)
        return
    if script.cut:
        peer.fin()
    for message in script.receives:
        same(await ws.receive(5), message)
    error = await closed(ws.receive(5))
    script.check_error(error.reason, error.message)
    answers, close = await ending
    assert answers == list(script.answers)
    if not script.cut:
        assert close is not None, "no Close frame"
        script.check_close(close.payload)
    assert ws.close_reason == script.ends and not ws.connected
    with pytest.raises(ConnectionClosed):
        await ws.send("late")


async def stays_open(script: Script, ws, peer: Peer) -> None:
    for message in script.receives:
        same(await ws.receive(5), message)
    for opcode, payload in script.answers:
        found = await peer.expect(opcode)
        assert found.payload == payload
    if script.then is not None:
        peer.writer.write(script.then.wire(peer.client))
        same(await ws.receive(5), script.last)
    peer.send("still here")
    assert await ws.receive(5) == "still here"
    await ws.send("me too")
    assert await peer.receive() == "me too"
    assert ws.connected and ws.close_reason is None


async def read_to_the_end(script: Script, peer: Peer) -> tuple[list[tuple[int, bytes]], Frame | None]:
    answers = []
    while (found := await peer.next_frame()) is not None and found.opcode != CLOSE:
        answers.append((found.opcode, found.payload))
    if found is not None:
        if script.fails or not peer.client:
            peer.fin()
        await peer.expect_end()
    return answers, found


def same(got, expected) -> None:
    assert type(got) is type(expected) and got == expected


async def echo(ws, peer: Peer, compressed: bool) -> None:
    """A message in each direction, compressed if that was agreed."""
    text = "again and again " * 100
    for _ in range(2):
        await ws.send(text)
        found = await peer.next_frame()
        assert found is not None and found.rsv1 is compressed
        peer.send_frame(TEXT, packed(text.encode(), 9) if compressed else text.encode(), rsv=0x40 if compressed else 0)
        assert await ws.receive(5) == text


# The opening handshake


@pytest.mark.parametrize("changes, status", [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
async def test_rfc_6455_section_4_2_1_requests(stage, changes, status):
    seen = asyncio.get_running_loop().create_future()

    async def answer(sock):
        try:
            async with await AioServer.accept(sock=sock, headers=await read_headers(sock)) as ws:
                seen.set_result(101)
                await ws.send(await ws.receive(5))
        except ConnectionError as error:
            seen.set_result(error.status_code)

    peer = await stage.dial(await stage.listening(answer))
    peer.writer.write(request(changes))
    assert (await peer.read_head()).status == status == await seen  # over a bare socket, nobody else could answer
    if status == 101:
        peer.send("Hello")
        assert await peer.receive() == "Hello"
        await peer.answer_close()
    peer.writer.close()


async def answered(stage, make, options):
    """Let a client see a response; return (the connection or the error that it raised, its peer)."""
    got = asyncio.get_running_loop().create_future()

    async def answer(peer):
        peer.writer.write(make(await peer.read_head()))
        got.set_result(peer)

    address = await stage.answering(answer)
    try:
        ws = await stage.connect(address, **options)
    except ConnectionError as error:
        ws = error
    peer = await got
    stage._undo.push_async_callback(peer.close)
    return ws, peer


@pytest.mark.parametrize("start, changes, valid, options", [row[1:] for row in RESPONSES], ids=[row[0] for row in RESPONSES])
async def test_rfc_6455_section_4_1_responses(stage, start, changes, valid, options):
    ws, peer = await answered(stage, lambda head: response(head, start, changes), options)
    if valid:
        assert ws.subprotocol == changes.get("Sec-WebSocket-Protocol")
        peer.send("Hello")
        assert await ws.receive(5) == "Hello"
        return
    assert isinstance(ws, ConnectionError)
    await peer.expect_end()


@pytest.mark.parametrize("offer, options, answer", [row[1:] for row in OFFERS], ids=[row[0] for row in OFFERS])
async def test_rfc_7692_offers_to_a_server(stage, offer, options, answer):
    got = asyncio.get_running_loop().create_future()

    async def handler(ws):
        got.set_result(ws)
        with pytest.raises(ConnectionClosed):
            while True:
                await received.put(await ws.receive())

    received = asyncio.Queue()
    address = await stage.serving("sock", handler, **options)
    peer = await stage.dial(address)
    head = await peer.ask("127.0.0.1", headers=() if offer is None else (f"Sec-WebSocket-Extensions: {offer}",))
    assert head.headers.get("sec-websocket-extensions") == answer
    ws, compressed, text = await got, answer is not None, "again and again " * 100
    if compressed and "client_max_window_bits=8" in answer:  # zlib has no compressor for 256 bytes
        text = ""
    for _ in range(2):
        await ws.send("again and again " * 100)
        found = await peer.next_frame()
        assert found is not None and found.rsv1 is compressed
        peer.send_frame(TEXT, packed(text.encode(), 9) if compressed else text.encode(), rsv=0x40 if compressed else 0)
        assert await received.get() == text
    peer.send_close()
    await peer.expect_close()
    await peer.expect_end()


@pytest.mark.parametrize("options, answer, valid", [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
async def test_rfc_7692_answers_to_a_client(stage, options, answer, valid):
    headers = () if answer is None else (f"Sec-WebSocket-Extensions: {answer}",)
    ws, peer = await answered(stage, lambda head: accepting(head, headers), options)
    if valid:
        await echo(ws, peer, answer is not None)
    else:
        assert isinstance(ws, ConnectionError)
        await peer.expect_end()
