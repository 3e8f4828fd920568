"""AioClient.connect: URLs, headers, refusals, time limits, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from simple_websocket import AioClient, ConnectionError
from tests.support.wire import CLOSE, TEXT, Head, frame, response

from .stage import closed, every_client, task, until


@every_client
async def test_what_is_asked_for(stage, kind):
    heads = []

    async def answer(peer):
        heads.append(await peer.accept(("Sec-WebSocket-Protocol: two",)))
        await peer.answer_close()

    address = await stage.answering(answer, stage.tls_of(kind))
    scheme = "wss" if stage.tls_of(kind) else "ws"
    ws = await AioClient.connect(
        f"{scheme}://user:pass%20word@127.0.0.1:{address.port}/a/b?c=d%20e",
        ["one", "two"],
        {"X-Mine": "yes", "Origin": "http://example.com"},
        ssl_context=stage.trust(kind),
    )
    assert ws.subprotocol == "two"
    await ws.close()
    (head,) = heads
    assert head.target == "/a/b?c=d%20e"
    assert head.headers["host"] == f"127.0.0.1:{address.port}"
    assert head.headers["sec-websocket-protocol"] == "one, two"
    assert head.headers["authorization"] == "Basic dXNlcjpwYXNzIHdvcmQ="
    assert (head.headers["x-mine"], head.headers["origin"]) == ("yes", "http://example.com")
    assert "permessage-deflate" in head.headers["sec-websocket-extensions"]


@pytest.mark.parametrize("end", ["", "/", "?a=b"])
async def test_a_url_without_a_path(stage, end):
    targets = []

    async def answer(peer):
        targets.append((await peer.accept()).target)
        await peer.answer_close()

    address = await stage.answering(answer)
    async with await AioClient.connect(f"ws://127.0.0.1:{address.port}{end}", compression=False):
        pass
    assert targets == ["/?a=b" if "?" in end else "/"]


async def test_an_ipv6_address(stage):
    hosts = []

    async def answer(peer):
        hosts.append((await peer.accept()).headers["host"])
        await peer.answer_close()

    try:
        address = await stage.answering(answer, host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with await AioClient.connect(f"ws://[::1]:{address.port}/"):
        pass
    assert hosts == [f"[::1]:{address.port}"]


async def test_a_name_with_several_addresses(stage):
    """localhost is ::1 too, where nobody listens."""

    async def answer(peer):
        await peer.accept()
        await peer.answer_close()

    address = await stage.answering(answer)
    async with await AioClient.connect(f"ws://localhost:{address.port}/"):
        pass


async def test_the_next_address_is_tried_beside_one_that_does_not_answer(stage, monkeypatch):
    async def answer(peer):
        await peer.accept()
        await peer.answer_close()

    address = await stage.answering(answer)
    with full() as silent:
        loop = asyncio.get_running_loop()
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (silent, silent, address.port)]

        async def resolve(url):
            return list(found)

        monkeypatch.setattr("simple_websocket.aiodial._resolve", resolve)
        began = loop.time()
        async with await AioClient.connect("ws://example.com/"):
            assert 0.4 < loop.time() - began < 5
        found.pop()
        with pytest.raises(ConnectionError, match="0.6"):
            await AioClient.connect("ws://example.com/", open_timeout=0.6)


class full:
    """A port on which a connection is neither accepted nor refused."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        port = self.listener.getsockname()[1]
        self.waiting = []
        while len(self.waiting) < 64:
            sock = socket.socket()
            self.waiting.append(sock)
            sock.settimeout(0.2)
            try:
                sock.connect(("127.0.0.1", port))
            except TimeoutError:
                return port
            except OSError:  # 3.10 and later raise TimeoutError
                return port
        raise AssertionError("the backlog has no end")

    def __exit__(self, *error):
        for sock in (self.listener, *self.waiting):
            sock.close()


@every_client
async def test_messages_in_the_same_segment_as_the_response(stage, kind):
    behind = frame(TEXT, b"first", masked=False) + frame(TEXT, b"second", masked=False) + frame(CLOSE, b"\x0f\xa0", masked=False)
    ws, peer = await stage.pair(kind, behind=behind)
    assert [await ws.receive(5), await ws.receive(5)] == ["first", "second"]
    assert (await closed(ws.receive())).reason == 4000
    await peer.expect_close()


async def test_a_server_that_breaks_the_rules_at_once_and_is_gone(stage):
    """With the response come a frame against the rules and the end of TCP: there is nothing to answer to any more."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        connecting = task(AioClient.connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/", open_timeout=10))
        server, _ = await loop.sock_accept(listener)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await loop.sock_recv(server, 4096)
        # All of it before the client's loop has a turn.
        server.setblocking(True)
        server.sendall(response(Head(head.removesuffix(b"\r\n\r\n"))) + frame(3, b"", masked=False))
        server.close()
        ws = await asyncio.wait_for(connecting, 5)
        assert (await closed(ws.receive())).reason == 1002
        await ws.close()


async def test_a_response_in_pieces(stage):
    async def answer(peer):
        head = await peer.read_head()
        for byte in response(head):
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        peer.send("opened")
        await peer.answer_close()

    async with await AioClient.connect((await stage.answering(answer)).url) as ws:
        assert await ws.receive(5) == "opened"


@every_client
async def test_a_refusal(stage, kind):
    async def answer(peer):
        await peer.read_head()
        peer.writer.write(b"HTTP/1.1 403 No\r\nX-Why: because\r\nContent-Length: 8\r\n\r\nno entry")
        await peer.expect_end()

    address = await stage.answering(answer, stage.tls_of(kind))
    with pytest.raises(ConnectionError) as caught:
        await AioClient.connect(address.url, ssl_context=stage.trust(kind))
    assert (caught.value.status_code, caught.value.body) == (403, b"no entry")
    assert ("x-why", "because") in [(name.lower(), value) for name, value in caught.value.headers]


async def test_a_refusal_whose_body_ends_with_the_stream(stage):
    async def answer(peer):
        await peer.read_head()
        peer.writer.write(b"HTTP/1.1 500 Oh\r\nConnection: close\r\n\r\nsorry")
        await peer.close()

    with pytest.raises(ConnectionError) as caught:
        await AioClient.connect((await stage.answering(answer)).url)
    assert (caught.value.status_code, caught.value.body) == (500, b"sorry")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 101 Switching",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    ],
    ids=["nothing", "half", "another protocol", "200", "a wrong key", "no end"],
)
async def test_what_is_no_handshake(stage, data):
    async def answer(peer):
        await peer.read_head()
        peer.writer.write(data)
        await peer.close()

    with pytest.raises(ConnectionError) as caught:
        await AioClient.connect((await stage.answering(answer)).url)
    assert caught.value.status_code in (None, 200)


async def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(OSError):
        await AioClient.connect(f"ws://127.0.0.1:{port}/")
    with pytest.raises(OSError):
        await AioClient.connect(f"ws://localhost:{port}/")


async def test_a_name_that_does_not_exist(monkeypatch):
    with pytest.raises(OSError):
        await AioClient.connect("ws://name.invalid/")


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "127.0.0.1", "ws://", "ws:///x", "ws://127.0.0.1/#fragment", "ws://h:port/"])
async def test_what_is_no_url(url):
    with pytest.raises(ValueError):
        await AioClient.connect(url)


@every_client
@pytest.mark.parametrize("until_when", ["nothing", "tls"])
async def test_a_server_that_does_not_answer(stage, kind, until_when):
    if until_when == "tls" and not stage.tls_of(kind):
        return
    came = []

    async def answer(peer):
        came.append(await peer.reader.read(1))
        try:
            await peer.reader.read()
        except OSError:
            pass  # a client that gives up may do so with a reset

    # Without TLS on the server nothing answers the client's hello.
    address = await stage.answering(answer, tls=until_when == "tls")
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(ConnectionError, match="0.2 seconds") as caught:
        await AioClient.connect(
            f"{'wss' if stage.tls_of(kind) else 'ws'}://127.0.0.1:{address.port}/",
            ssl_context=stage.trust(kind),
            open_timeout=0.2,
        )
    assert caught.value.status_code is None and 0.15 < loop.time() - began < 3
    await until(lambda: came)


async def test_no_time_limit_at_all(stage):
    go = asyncio.Event()

    async def answer(peer):
        await go.wait()
        await peer.accept()
        await peer.answer_close()

    connecting = task(AioClient.connect((await stage.answering(answer)).url, open_timeout=None))
    await asyncio.wait([connecting], timeout=0.1)
    assert not connecting.done()
    go.set()
    await (await connecting).close()


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_wrong_certificate(stage, wrong):
    async def answer(peer):
        raise AssertionError("a client that does not trust the server asks it for nothing")

    # What the loop says about the server's side of the failed handshake.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    host = "127.0.0.1" if wrong == "authority" else "127.0.0.2"
    address = await stage.answering(answer, tls=True, host=host)
    with pytest.raises(ssl.SSLCertVerificationError):
        await AioClient.connect(f"wss://{host}:{address.port}/", ssl_context=None if wrong == "authority" else stage.tls.client)
