"""TLS as others speak it: key updates in the middle of everything, certificates that are wrong in each way, TCP cut anywhere."""

from __future__ import annotations

import asyncio
import datetime
import gc
import ssl
import sys
import warnings

import pytest

from demo.process import ROOT
from simple_websocket import AioClient, ConnectionClosed, ConnectionError
from tests.support.on_threads import ThreadWorld
from tests.support.openssl import COMMAND, OpenSsl
from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame
from tests.support.world import authority, client_context, server_context

from .stage import closed, task, until

NOW = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def world():
    """What the peer that is OpenSSL's command needs around it; everything of its waits, so it is called in threads."""
    world = ThreadWorld()
    yield world
    world.clean_up()


async def connected(stage, world, side, folder, **options):
    """A connection of ours, and OpenSSL's command at its other end."""
    in_thread = asyncio.to_thread
    if side == "client":
        peer, port = await in_thread(OpenSsl.server, world, folder)
        connecting = task(AioClient.connect(f"wss://127.0.0.1:{port}/", ssl_context=client_context(), **options))
        await in_thread(peer.accept)
        return await connecting, peer
    got = asyncio.get_running_loop().create_future()

    async def hold(ws):
        got.set_result(ws)
        await until(lambda: not ws.connected, 30)
        await ws.close()

    address = await stage.serving("aiohttp-tls", hold, **options)
    peer = await in_thread(OpenSsl.client, world, address.port)
    return await got, peer


@pytest.mark.skipif(COMMAND is None, reason="there is no openssl command")
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("both", [False, True], ids=["theirs", "both"])
async def test_key_updates(stage, world, side, both, tmp_path):
    """While we wait to receive, while we send, and while nobody does either."""
    in_thread = asyncio.to_thread
    ws, peer = await connected(stage, world, side, tmp_path, ping_interval=0.2, ping_timeout=20, compression=False)

    def from_peer(opcode, payload):
        peer.write(frame(opcode, payload, masked=side == "server"))

    def next_message():
        while (found := peer.next_frame()).opcode in (PING, PONG):
            pass
        return found

    for number in range(5):
        receiving = task(ws.receive())
        await asyncio.sleep(0.02)
        await in_thread(peer.update_keys, both)
        from_peer(TEXT, b"%d" % number)
        assert await asyncio.wait_for(receiving, 5) == str(number)
        await ws.send(f"answer {number}")
        assert (await in_thread(next_message)).text == f"answer {number}"
        sending = task(ws.send(bytes([number]) * 300_000))
        await in_thread(peer.update_keys, both)
        from_peer(BINARY, b"meanwhile")
        assert await ws.receive(5) == b"meanwhile"
        await asyncio.wait_for(sending, 10)
        assert (await in_thread(next_message)).payload == bytes([number]) * 300_000
    await in_thread(peer.update_keys, both)
    from_peer(PING, b"after an update")
    while (await in_thread(peer.next_frame))[:2] != (PONG, b"after an update"):
        pass
    assert ws.connected
    from_peer(CLOSE, close_payload(1000))
    assert (await closed(ws.receive())).reason == 1000
    while (found := await in_thread(peer.next_frame)).opcode != CLOSE:
        pass
    assert found.code == 1000
    await until(lambda: peer.done() == 11)
    await in_thread(peer.end)
    await ws.close()


def wrong(what):
    """A certificate that is wrong, and what the error has to say."""
    if what == "name":
        return authority().issue_cert("somewhere.else.example"), "127.0.0.1"
    if what == "address":
        return authority().issue_cert("127.0.0.2"), "127.0.0.1"
    if what == "expired":
        return authority().issue_cert("127.0.0.1", not_before=NOW - 3 * DAY, not_after=NOW - DAY), "expired"
    if what == "not yet valid":
        return authority().issue_cert("127.0.0.1", not_before=NOW + DAY, not_after=NOW + 2 * DAY), "not yet valid"
    return None, "unable to get local issuer|self.signed"


@pytest.mark.parametrize("what", ["authority", "name", "address", "expired", "not yet valid"])
async def test_a_certificate_that_is_wrong_is_refused_with_the_reason(stage, world, what):
    """The folder's own fixture looks for sockets that are left."""
    leaf, reason = wrong(what)
    # What the loop says about the server's side of the failed handshakes.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=server_context(world, leaf))
    url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(3):
            trust = ssl.create_default_context() if what == "authority" else client_context()
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                await AioClient.connect(url, ssl_context=trust)
        server.close()
        gc.collect()
    # Python 3.10 says so of the server's side, see conftest.py.
    assert not [one for one in warned if sys.version_info >= (3, 11) or "sslproto" not in str(one.message)], warned


async def test_a_client_without_the_certificate_that_is_asked_for(stage, world):
    """With TLS 1.3 it learns of that after its own handshake; it must hear of it all the same, and keep nothing."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    context = server_context(world)
    context.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(context)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    with pytest.raises((OSError, ConnectionError)):
        url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await AioClient.connect(url, ssl_context=client_context(), open_timeout=5)
    server.close()


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_tcp_under_tls_cut_at_every_17th_byte(stage, how):
    """Of a conversation between a client and a server of ours, TLS's own handshake included."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # failed handshakes of the server's
    at_server = []

    async def handle(ws):
        happened = []
        at_server.append(happened)
        try:
            while True:
                happened.append(await ws.receive())
                await ws.send(happened[-1])
        except ConnectionClosed as error:
            happened.append(int(error.reason))
        await ws.close()

    address = await stage.serving("aiohttp-tls", handle, close_timeout=30)
    command = [sys.executable, "-m", "tests.support.proxy", str(address.port), how, "17"]
    proxy = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        url = f"wss://127.0.0.1:{int(await asyncio.wait_for(proxy.stdout.readline(), 20))}/"

        async def talk():
            received = []
            try:
                ws = await AioClient.connect(url, ssl_context=stage.tls.client, close_timeout=30, compression=False)
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
        # Some were cut in TLS's handshake, some in the opening handshake, some after it.
        assert any(isinstance(end, OSError) for end in ends) and any(isinstance(end, ConnectionError) for end in ends)
        assert ends.count(1006) > 3
        await until(lambda: all(happened and isinstance(happened[-1], int) for happened in at_server))
        for *messages, end in at_server:
            assert messages == ["one", b"two"][: len(messages)] and end in (1000, 1006)
    finally:
        proxy.terminate()
        await proxy.communicate()
