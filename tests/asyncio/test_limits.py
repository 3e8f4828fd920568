"""Limits and faults: what a hostile peer, or a broken network, can make a connection hold, and for how long."""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from contextlib import suppress
from time import process_time

import pytest

from demo.process import ROOT
from simple_websocket import AioClient, AioServer, ConnectionClosed, ConnectionError
from tests.support.attacks import DEAREST_ECHO, FLOODED
from tests.support.dropping import CAN_DROP, drop_packets
from tests.support.memory import MIB, Growth
from tests.support.wire import BINARY, CONTINUATION, PING, PONG, TEXT

from .stage import closed, every_client, every_kind, read_headers, task, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc, and packets are dropped by Linux")

SLACK = 16 * MIB
DEFLATE = ("Sec-WebSocket-Extensions: permessage-deflate",)

some_kinds = pytest.mark.parametrize("kind", ["aiohttp", "client-tls"])


def deflated(data):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Flood:
    """A peer that writes the same bytes as fast as they are taken, and reads nothing, until it is stopped."""

    def __init__(self, peer, data):
        self._peer, self._data = peer, data
        self._over = False
        self.written = 0
        self._task = task(self._run())

    async def _run(self):
        try:
            while not self._over:
                self._peer.writer.write(self._data)
                await self._peer.writer.drain()
                self.written += len(self._data)
        except OSError:
            pass

    async def stop(self, wait=True):
        self._over = True
        if wait:
            await asyncio.wait_for(self._task, 20)
        else:
            self._task.cancel()
            await asyncio.wait([self._task])


@some_kinds
@pytest.mark.parametrize("receiving", [True, False])
async def test_pings_faster_than_they_can_be_answered(stage, kind, receiving):
    ws, peer = await stage.pair(kind)
    receiver = task(ws.receive()) if receiving else None
    growth = Growth()
    flood = Flood(peer, peer.make(PING, b"!" * 125) * 1000)
    await until(lambda: flood.written > 4 * MIB, 20)
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"
    assert ws.connected
    await flood.stop()
    peer.send_frame(PING, b"the last one")
    while (found := await peer.expect(PONG)).payload != b"the last one":
        assert found.payload == b"!" * 125
    peer.send("and a message")
    assert await (receiver or ws.receive(10)) == "and a message"
    await ws.send("back")
    assert await peer.receive() == "back"


@some_kinds
@pytest.mark.parametrize("opcode", [PING, PONG, CONTINUATION])
async def test_a_timeout_holds_in_a_flood(stage, kind, opcode):
    ws, peer = await stage.pair(kind)
    if opcode == CONTINUATION:
        peer.send_frame(TEXT, fin=False)
    flood = Flood(peer, peer.make(opcode, fin=opcode != CONTINUATION) * 20_000)
    clock = asyncio.get_running_loop().time
    for timeout in (0, 0.3):
        started = clock()
        assert await ws.receive(timeout) is None
        assert clock() - started < timeout + 2
    await flood.stop()
    assert ws.connected


@some_kinds
@pytest.mark.parametrize("opcode", [PING, BINARY])
async def test_close_is_bounded_in_a_flood(stage, kind, opcode):
    ws, peer = await stage.pair(kind, close_timeout=0.5)
    flood = Flood(peer, peer.make(opcode, b"x" * 100) * 1000)
    await asyncio.sleep(0.2)
    started = asyncio.get_running_loop().time()
    await ws.close()
    assert asyncio.get_running_loop().time() - started < 4
    await flood.stop(wait=False)


@pytest.mark.parametrize("name", ["empty-fragments", "tiny-messages", "empty-pings"])
async def test_the_other_connections_go_on_in_a_flood(stage, name):
    """From another process, so that the flood needs nobody's leave.  How fast they go on is measured by `make soak`.

    In the time of the processor, as in tests/cases/limits.py, and for the same reason.
    """
    address = await stage.serving("aiohttp", close_timeout=0.5)
    ws = await stage.connect(address)
    command = [sys.executable, "-m", "tests.support.attacks", name, str(address.port), str(FLOODED)]
    attack = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output = task(attack.communicate())
    dearest = 0.0
    while not output.done():
        started = process_time()
        await ws.send("x" * 64)
        assert await ws.receive(30) == "x" * 64
        dearest = max(dearest, process_time() - started)
        await asyncio.sleep(0.01)
    assert json.loads((await output)[0])["bytes"]
    assert dearest < DEAREST_ECHO, f"{dearest:.2f} s of processor time for one echo"


@some_kinds
@pytest.mark.parametrize("limit", [None, MIB])
async def test_a_header_that_lies(stage, kind, limit):
    pairs = [await stage.pair(kind, max_message_size=limit, compression=False) for _ in range(10)]
    growth = Growth()
    size = 1 << 40 if limit is None else limit
    for _, peer in pairs:
        header = bytes([0x82, 0x7F | (0x80 if peer.client else 0)]) + size.to_bytes(8, "big")
        peer.writer.write(header + bytes(4) * peer.client + b"a few")
    for ws, peer in pairs:
        assert await ws.receive(0.05) is None
        peer.writer.write(b"more")
    assert await pairs[0][0].receive(0.1) is None
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"
    assert all(ws.connected for ws, _ in pairs)


@some_kinds
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_fragments_without_end(stage, kind, opcode):
    ws, peer = await stage.pair(kind, max_message_size=200_000)
    growth = Growth()
    peer.send_frame(opcode, fin=False)
    flood = Flood(peer, peer.make(CONTINUATION, b"x", fin=False) * 10_000)
    assert (await closed(ws.receive())).reason == 1009
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"
    await flood.stop(wait=False)


@every_kind
async def test_a_compressed_message_that_is_too_big_inflates_no_further(stage, kind):
    ws, peer = await stage.pair(kind, DEFLATE, max_message_size=MIB)
    bomb = peer.make(BINARY, deflated(bytes(256 * MIB)), rsv=0x40)
    growth = Growth()
    answering = task(peer.answer_close())
    peer.writer.write(bomb)
    assert (await closed(ws.receive())).reason == 1009
    assert (await answering).code == 1009
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"


@some_kinds
async def test_a_compressed_message_of_nothing_but_final_blocks(stage, kind):
    ws, peer = await stage.pair(kind, DEFLATE, max_message_size=MIB)
    answering = task(peer.answer_close())
    started = asyncio.get_running_loop().time()
    peer.writer.write(peer.make(BINARY, b"\x03\x00" * (MIB // 2), rsv=0x40))
    assert (await closed(ws.receive())).reason in (1002, 1007, 1008, 1009)
    await answering
    assert asyncio.get_running_loop().time() - started < 2


@some_kinds
@pytest.mark.parametrize("message", [b"x" * 1000, b"", "x" * 996 + "\U0001f409"], ids=["bytes", "empty", "wide"])
async def test_messages_that_nobody_receives(stage, kind, message):
    ws, peer = await stage.pair(kind, max_unread_messages=256, max_unread_bytes=MIB)
    one = peer.message(message)
    growth = Growth()
    flood = Flood(peer, one * (50_000 // len(one)))
    before = -1
    while before != flood.written:
        before = flood.written
        await asyncio.sleep(0.3)
    assert growth.peak() < (4 * MIB if isinstance(message, str) else MIB) + SLACK, f"{growth.peak() / MIB:.1f} MiB"
    assert ws.connected and len(ws._link._unread) == 256
    await flood.stop(wait=False)


@every_client
@pytest.mark.parametrize("what", ["one line", "many lines", "body", "chunked body"])
async def test_an_answer_without_end(stage, kind, what):
    beginning, again = {
        "one line": (b"HTTP/1.1 101 Switching Protocols\r\nX: ", b"x" * 4096),
        "many lines": (b"HTTP/1.1 101 Switching Protocols\r\n", b"X: y\r\n" * 1000),
        "body": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 4096),
        "chunked body": (b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nbody\r\n" * 500),
    }[what]
    sent = 0

    async def answer(peer):
        nonlocal sent
        await peer.read_head()
        peer.writer.write(beginning)
        try:
            while sent < 64 * MIB:
                peer.writer.write(again)
                await peer.writer.drain()
                sent += len(again)
        except OSError:
            pass

    address = await stage.answering(answer, stage.tls_of(kind))
    growth = Growth()
    with pytest.raises(ConnectionError) as error:
        await AioClient.connect(address.url, ssl_context=stage.trust(kind), open_timeout=20)
    assert sent < 32 * MIB
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"
    assert error.value.status_code == (403 if "body" in what else None)
    assert len(error.value.body or b"") <= 65536


@every_client
async def test_a_rejection_whose_body_never_comes(stage, kind):
    async def answer(peer):
        await peer.read_head()
        peer.writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nhalf")
        with suppress(ConnectionResetError):
            await peer.reader.read()

    address = await stage.answering(answer, stage.tls_of(kind))
    with pytest.raises(ConnectionError) as error:
        await AioClient.connect(address.url, ssl_context=stage.trust(kind), open_timeout=0.5)
    assert error.value.status_code == 503


@pytest.mark.skipif(not CAN_DROP, reason="packets can be dropped on Linux only")
@some_kinds
@pytest.mark.parametrize("doing", ["receive", "send"])
async def test_a_half_open_peer_is_noticed_by_the_keepalive(stage, kind, doing):
    ws, peer = await stage.pair(kind, ping_interval=0.3, ping_timeout=0.3)
    drop_packets(peer.writer.get_extra_info("socket"))
    started = asyncio.get_running_loop().time()

    async def talk():
        while True:
            await (ws.send(bytes(100_000)) if doing == "send" else ws.receive())

    assert (await closed(talk())).reason == 1008
    assert 0.2 < asyncio.get_running_loop().time() - started < 5


@pytest.mark.skipif(not CAN_DROP, reason="packets can be dropped on Linux only")
@some_kinds
async def test_a_half_open_peer_is_not_waited_for(stage, kind):
    ws, peer = await stage.pair(kind, close_timeout=0.5)
    drop_packets(peer.writer.get_extra_info("socket"))
    await ws.send("into the dark")
    assert await ws.receive(0.2) is None
    sending = task(ws.send(bytes(64 * MIB)))
    await asyncio.sleep(0.1)
    assert not sending.done()
    started = asyncio.get_running_loop().time()
    await ws.close()
    assert asyncio.get_running_loop().time() - started < 5
    await closed(sending)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_tcp_cut_at_every_byte(stage, how):
    """A server and a client of ours on both sides of a proxy that cuts each conversation one byte further."""
    at_server = []

    async def answer(sock):
        try:
            headers = await read_headers(sock)
        except (OSError, AssertionError):
            sock.close()
            return
        try:
            ws = await AioServer.accept(sock=sock, headers=headers, close_timeout=30)
        except ConnectionError as error:
            assert error.status_code is None  # the client has gone, and the socket is closed
            return
        happened = []
        at_server.append(happened)
        try:
            while True:
                happened.append(await ws.receive())
                await ws.send(happened[-1])
        except ConnectionClosed as error:
            happened.append(int(error.reason))
        await ws.close()

    address = await stage.listening(answer)
    command = [sys.executable, "-m", "tests.support.proxy", str(address.port), how, "1"]
    proxy = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        port = int(await asyncio.wait_for(proxy.stdout.readline(), 20))

        async def talk():
            received = []
            try:
                ws = await AioClient.connect(f"ws://127.0.0.1:{port}/", close_timeout=30, compression=False)
            except (ConnectionError, OSError) as error:
                return received, error
            try:
                for message in ("one", b"two"):
                    await ws.send(message)
                    received.append(await ws.receive())
            except ConnectionClosed as error:
                assert error.reason == ws.close_reason == 1006
            await ws.close()
            return received, ws.close_reason

        assert await talk() == (["one", b"two"], 1000)
        ends = []
        for _ in range(int(await asyncio.wait_for(proxy.stdout.readline(), 20))):
            received, end = await asyncio.wait_for(talk(), 5)
            assert received == ["one", b"two"][: len(received)]
            assert isinstance(end, (ConnectionError, OSError)) or end in (1000, 1006)
            ends.append(end)
        assert sum(isinstance(end, ConnectionError) for end in ends) > 10 and ends.count(1006) > 20
        await until(lambda: all(happened and isinstance(happened[-1], int) for happened in at_server))
        for *messages, end in at_server:
            assert messages == ["one", b"two"][: len(messages)] and end in (1000, 1006)
    finally:
        proxy.terminate()
        await proxy.communicate()
