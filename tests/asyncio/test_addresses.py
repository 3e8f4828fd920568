"""AioClient.connect with names that have several addresses; AioServer, and clients that go while they are refused."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from simple_websocket import AioClient, AioServer, ConnectionClosed, ConnectionError, serve
from tests.support.wire import request

from .stage import read_headers


class Resolving(asyncio.SelectorEventLoop):
    """An event loop whose resolver finds these addresses for every name."""

    addresses: list[tuple[str, int]] = []

    async def getaddrinfo(self, host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in self.addresses]


def connecting(addresses, **options):
    """Connect and close again; return the address of the connection's peer."""

    async def connect():
        async with await AioClient.connect("ws://several.addresses.test/", **options) as ws:
            await ws.send("hello")
            return await ws.receive(5)

    loop = Resolving()
    loop.addresses = addresses
    try:
        return loop.run_until_complete(connect())
    finally:
        loop.close()


def nobody():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()


@pytest.fixture
def deaf():
    """A listener whose backlog is full: connecting neither succeeds nor fails."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield sock.getsockname()
        for filler in fillers:
            filler.close()


def test_no_address_answers():
    with pytest.raises(ConnectionRefusedError):
        connecting([nobody(), nobody(), nobody()])


def test_a_name_without_an_address():
    with pytest.raises(OSError, match="no address"):
        connecting([])


def test_addresses_that_say_nothing_are_given_up_in_time(deaf):
    with pytest.raises((TimeoutError, ConnectionError)):
        connecting([deaf, nobody(), deaf], open_timeout=1.0)


def test_the_last_address_answers(deaf):
    """While the first one is still being tried."""
    with serve(lambda ws: [ws.send(message) for message in ws], "127.0.0.1", 0) as server:
        assert connecting([deaf, nobody(), server.address], open_timeout=5) == "hello"


async def test_an_object_that_was_never_connected():
    ws = AioClient("ws://name.test/")
    assert not ws.connected and ws.close_reason is None
    with pytest.raises(ConnectionClosed, match="use accept.. or connect"):
        await ws.send("nobody is there")
    assert [message async for message in ws] == []


async def refused(stage, before_refusing):
    """Have an AioServer refuse a request after something has happened to its client; return what accept raised."""
    raised = []
    come = asyncio.get_running_loop().create_future()

    async def serve(sock):
        headers = await read_headers(sock)
        come.set_result(None)
        await gone.wait()
        try:
            await AioServer.accept(sock=sock, headers=headers, check_request=before_refusing)
        except Exception as error:
            raised.append(error)
        assert sock.fileno() < 0

    gone = asyncio.Event()
    address = await stage.listening(serve)
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    writer.write(request("example.org"))
    await come
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await asyncio.sleep(0.05)
    gone.set()
    while not raised:
        await asyncio.sleep(0.005)
    return raised[0]


async def test_a_client_that_is_refused_and_has_gone(stage):
    def check(asked):
        raise ConnectionError(403)

    error = await refused(stage, check)
    assert isinstance(error, ConnectionError) and error.status_code == 403


async def test_a_check_that_fails_closes_the_socket(stage):
    def check(asked):
        raise KeyError("on purpose")

    assert isinstance(await refused(stage, check), KeyError)
