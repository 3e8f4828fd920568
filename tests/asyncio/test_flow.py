"""Back-pressure and order: slow peers, slow applications, several senders, and how much memory that takes."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import threading

import pytest

from simple_websocket import AioClient
from tests.support.wire import Head, request, response

from .peer import Inflating
from .stage import CLIENTS, SERVERS, every_kind, task, until

MIB = 1 << 20


@every_kind
@pytest.mark.parametrize("compression", [False, True], ids=["plain", "deflate"])
async def test_several_senders(stage, kind, compression):
    """Each message arrives whole, and each sender's in their order."""
    offer = ("Sec-WebSocket-Extensions: permessage-deflate",) if compression else ()
    ws, peer = await stage.pair(kind, offer, compression=compression)
    inflating = Inflating()
    sizes = random.Random(7)

    async def send(sender):
        for number in range(20):
            await ws.send(bytes([sender, number]) * sizes.choice([1, 60, 1000, 40_000, 150_000]))

    senders = [task(send(sender)) for sender in range(8)]
    expected = dict.fromkeys(range(8), 0)
    for _ in range(160):
        message = inflating.message(await peer.next_frame())
        sender, number = message[:2]
        assert message == bytes([sender, number]) * (len(message) // 2) and number == expected[sender]
        expected[sender] += 1
    await asyncio.gather(*senders)


@every_kind
async def test_send_waits_for_a_slow_peer(stage, kind):
    ws, peer = await stage.pair(kind, compression=False)
    sent = 0

    async def send():
        nonlocal sent
        for number in range(500):
            await ws.send(number.to_bytes(4, "big") * 16384)
            sent += 1

    sending = task(send())
    before = -1
    while before != sent or not sent:  # until nothing moves any more
        before = sent
        await asyncio.wait([sending], timeout=0.05)
    assert sent < 400 and ws._link._transport.get_write_buffer_size() < MIB
    for number in range(500):
        assert await peer.receive() == number.to_bytes(4, "big") * 16384
    await sending


@every_kind
@pytest.mark.parametrize("bound", [{"max_unread_messages": 4}, {"max_unread_bytes": 200_000}], ids=["messages", "bytes"])
async def test_a_peer_is_slowed_when_nobody_receives(stage, kind, bound):
    ws, peer = await stage.pair(kind, **bound)

    async def send():
        for number in range(500):
            peer.send(number.to_bytes(4, "big") * 16384)
            await peer.writer.drain()

    sending = task(send())
    unread = ws._link._unread
    await until(lambda: not unread.has_room)
    done, _ = await asyncio.wait([sending], timeout=0.1)
    assert not done and len(unread) == 4
    for number in range(500):
        assert await ws.receive(5) == number.to_bytes(4, "big") * 16384
        assert len(unread) <= 4
    await sending


@every_kind
async def test_a_message_larger_than_the_queue(stage, kind):
    ws, peer = await stage.pair(kind, max_unread_bytes=10)
    for number in range(3):
        peer.send(str(number) * 300_000)
    for number in range(3):
        assert await ws.receive(5) == str(number) * 300_000


class Sluggish(threading.Thread):
    """A peer in a thread of its own that takes no memory: reads nothing for a second, and then so many bytes."""

    def __init__(self, sock, size, context=None, server=False):
        super().__init__()
        self.sock, self.size, self.context, self.server = sock, size, context, server
        self.begin = threading.Event()
        self.taken = 0

    def run(self):
        with self.sock as sock:
            sock.settimeout(20)
            if self.context is not None:
                name = None if self.server else "127.0.0.1"
                sock = self.context.wrap_socket(sock, server_side=self.server, server_hostname=name)
            with sock:
                if self.server:
                    sock.sendall(response(Head(self.head(sock))))
                else:
                    sock.sendall(request("127.0.0.1"))
                    self.head(sock)
                self.begin.wait(20)
                buffer = bytearray(1 << 16)
                while self.taken < self.size:
                    got = sock.recv_into(buffer)
                    assert got
                    self.taken += got

    def head(self, sock):
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += sock.recv(1)
        return data


def resident():
    """Resident memory in bytes: now, and the most since `forget`."""
    with open("/proc/self/status") as status:
        values = dict(line.split(":", 1) for line in status)
    return [int(values[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")]


def forget():
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")


@pytest.mark.parametrize("kind, text", [*((kind, False) for kind in SERVERS + CLIENTS), ("sock", True), ("client", True)])
async def test_memory_of_a_sender_whose_peer_reads_nothing_for_a_second(stage, kind, text):
    size = 32 * MIB
    context = None
    if stage.tls_of(kind):
        context = stage.tls.server if kind in CLIENTS else stage.tls.client
    if kind in CLIENTS:
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        connecting = task(
            AioClient.connect(
                f"{'wss' if context else 'ws'}://127.0.0.1:{address[1]}/", ssl_context=stage.trust(kind), compression=False
            )
        )
        listener.setblocking(False)
        sock, _ = await asyncio.get_running_loop().sock_accept(listener)
        listener.close()
        peer = Sluggish(sock, size, context, server=True)
        peer.start()
        ws = await connecting
    else:
        got = asyncio.get_running_loop().create_future()
        over = asyncio.Event()

        async def hold(ws):
            got.set_result(ws)
            await over.wait()

        listening = await stage.serving(kind, hold, compression=False, close_timeout=0.5)
        peer = Sluggish(socket.create_connection(("127.0.0.1", listening.port)), size, context)
        peer.start()
        ws = await got
    try:
        message = "0123456789abcdef" * (size // 16) if text else os.urandom(MIB) * 32
        gc.collect()
        forget()
        before = resident()[0]
        asyncio.get_running_loop().call_later(1.0, peer.begin.set)
        await ws.send(message)
        grown = resident()[1] - before
        assert grown < 4 * MIB, f"{grown / MIB:.1f} MiB"
    finally:
        peer.begin.set()
        while peer.is_alive():
            await asyncio.sleep(0.01)
        if kind not in CLIENTS:
            over.set()
        await ws.close()
    assert peer.taken >= size
