"""AioServer.accept and reject: what they take, what they answer, and what is left after a bad handshake."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiohttp import web

from simple_websocket import AioServer, ConnectionError
from tests.support.wire import CLOSE, TEXT, frame, request

from .stage import closed, every_server, read_headers, task, until

GOOD = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
    "Sec-WebSocket-Version": "13",
}

# What is wrong, the headers, the status, and what is in the answer.
BAD = {
    "no key": ({**GOOD, "Sec-WebSocket-Key": None}, 400),
    "no base64": ({**GOOD, "Sec-WebSocket-Key": "nonsense"}, 400),
    "a short key": ({**GOOD, "Sec-WebSocket-Key": "c2hvcnQ="}, 400),
    "another version": ({**GOOD, "Sec-WebSocket-Version": "8"}, 426),
    "no version": ({**GOOD, "Sec-WebSocket-Version": None}, 400),
    "no upgrade": ({**GOOD, "Upgrade": None}, 400),
    "no connection": ({**GOOD, "Connection": None}, 400),
    "another upgrade": ({**GOOD, "Upgrade": "h2c"}, 400),
    "no host": ({**GOOD, "Host": None}, 400),
}


def get(headers, method="GET"):
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"{method} /echo HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize("what", BAD)
async def test_bad_requests_over_a_socket_get_an_http_answer(stage, what):
    headers, status = BAD[what]
    errors = []

    async def answer(sock):
        given = await read_headers(sock)
        with pytest.raises(ConnectionError) as caught:
            await AioServer.accept(sock=sock, headers=given)
        errors.append(caught.value)
        assert sock.fileno() == -1

    peer = await stage.dial(await stage.listening(answer))
    peer.writer.write(get(headers))
    head = await peer.read_head()
    assert head.status == status and head.headers["connection"] == "close"
    body = await peer.reader.read()
    assert len(body) == int(head.headers["content-length"]) > 0
    assert errors[0].status_code == status
    if status == 426:
        assert head.headers["sec-websocket-version"] == "13"


async def test_a_socket_without_headers(stage):
    errors = []

    async def answer(sock):
        await read_headers(sock)
        with pytest.raises(ConnectionError) as caught:
            await AioServer.accept(sock=sock)
        errors.append(caught.value)

    peer = await stage.dial(await stage.listening(answer))
    assert (await peer.ask("127.0.0.1")).status == 400
    await peer.reader.read()
    assert errors[0].status_code == 400 and "headers" in str(errors[0])


@pytest.mark.parametrize("what", [*(what for what in BAD if what != "no host"), "another method"])
async def test_bad_requests_over_aiohttp_leave_it_to_the_application(stage, what):
    headers, status = BAD.get(what, (GOOD, 400))
    errors = []

    async def view(request):
        with pytest.raises(ConnectionError) as caught:
            await AioServer.accept(aiohttp=request)
        errors.append(caught.value)
        return web.Response(status=caught.value.status_code, headers=caught.value.headers, text="mine")

    peer = await stage.dial(await stage.serving_view(view))
    for _ in range(2):  # the connection is still aiohttp's, and good for another request
        peer.writer.write(get(headers, "POST" if what == "another method" else "GET"))
        head = await peer.read_head()
        assert head.status == status and await peer.reader.readexactly(4) == b"mine"
    assert [error.status_code for error in errors] == [status, status]


async def test_an_error_that_the_application_lets_through_is_a_500(stage):
    async def view(request):
        ws = await AioServer.accept(aiohttp=request)
        await ws.close()

    peer = await stage.dial(await stage.serving_view(view))
    peer.writer.write(get({**GOOD, "Upgrade": None}))
    assert (await peer.read_head()).status == 500
    stage.forgive("Error handling request")


async def test_exactly_one_of_aiohttp_asgi_and_sock():
    one, triple = object(), ({}, None, None)
    for given in (
        {},
        {"aiohttp": one, "asgi": triple},
        {"aiohttp": one, "sock": one},
        {"asgi": triple, "sock": one},
        {"aiohttp": one, "headers": {}},
        {"asgi": triple, "headers": {}},
        {"headers": {}},
    ):
        with pytest.raises(ValueError, match="exactly one"):
            await AioServer.accept(**given)
    for given in ({}, {"asgi": triple, "sock": one}):
        with pytest.raises(ValueError, match="exactly one"):
            await AioServer.reject(**given)


async def test_arguments_out_of_range():
    for wrong in (
        {"receive_bytes": 0},
        {"ping_interval": -1},
        {"max_message_size": -1},
        {"close_timeout": -1},
        {"max_unread_messages": 0},
        {"max_unread_bytes": 0},
    ):
        with pytest.raises(ValueError):
            await AioServer.accept(aiohttp=object(), **wrong)


async def test_a_tls_socket_is_refused_with_a_reason(stage):
    class Tls(ssl.SSLSocket):
        pass

    with pytest.raises(ValueError, match="SSLSocket"):
        await AioServer.accept(sock=Tls.__new__(Tls), headers={})


async def test_a_client_that_has_gone(stage):
    errors, came = [], asyncio.Event()

    async def view(request):
        came.set()
        await until(lambda: request.transport is None)
        with pytest.raises(ConnectionError) as caught:
            await AioServer.accept(aiohttp=request)
        errors.append(caught.value)
        return web.Response()

    peer = await stage.dial(await stage.serving_view(view))
    peer.writer.write(get(GOOD))
    await came.wait()
    await peer.close()
    await until(lambda: errors)
    assert errors[0].status_code == 400
    await until(lambda: not stage.runner.server.connections)


@every_server
async def test_a_frame_in_the_same_segment_as_the_request(stage, kind):
    behind = frame(TEXT, b"first", masked=True) + frame(TEXT, b"second", masked=True)
    ws, peer = await stage.pair(kind, behind=behind)
    assert [await ws.receive(5), await ws.receive(5)] == ["first", "second"]
    peer.send("third")
    assert await ws.receive(5) == "third"


@every_server
async def test_half_a_frame_in_the_same_segment_as_the_request(stage, kind):
    whole = frame(TEXT, b"x" * 1000, masked=True)
    ws, peer = await stage.pair(kind, behind=whole[:100])
    peer.writer.write(whole[100:])
    assert await ws.receive(5) == "x" * 1000


@every_server
async def test_a_close_in_the_same_segment_as_the_request(stage, kind):
    ws, peer = await stage.pair(kind, behind=frame(CLOSE, b"\x0f\xa0", masked=True))
    assert (await peer.expect_close()).code == 4000
    await peer.expect_end()
    assert (await closed(ws.receive())).reason == 4000


async def test_frames_while_the_application_takes_its_time_to_accept(stage):
    go, got = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def view(request):
        await go.wait()
        ws = await AioServer.accept(aiohttp=request)
        got.set_result([await ws.receive(5) for _ in range(300)])
        await ws.close()
        return web.Response()

    peer = await stage.dial(await stage.serving_view(view))
    peer.writer.write(request("127.0.0.1"))
    for number in range(300):
        peer.send(str(number) * 1000)
    await asyncio.wait([task(peer.writer.drain())], timeout=0.2)
    go.set()
    await peer.read_head()
    assert await got == [str(number) * 1000 for number in range(300)]
    await peer.answer_close()
    await peer.expect_end()


@every_server
async def test_subprotocols_and_headers_of_the_response(stage, kind):
    async def handler(ws):
        await ws.send(str(ws.subprotocol))

    address = await stage.serving(kind, handler, subprotocols=["one", "two"], response_headers={"X-Mine": "yes"})
    for asked, expected in (("two, one", "two"), ("three", None), (None, None)):
        peer = await stage.dial(address)
        head = await peer.ask("127.0.0.1", headers=() if asked is None else (f"Sec-WebSocket-Protocol: {asked}",))
        assert head.status == 101 and head.headers["x-mine"] == "yes"
        assert head.headers.get("sec-websocket-protocol") == expected
        assert await peer.receive() == str(expected)


async def test_the_choice_of_a_subprotocol_can_be_made_otherwise(stage):
    class Last(AioServer):
        def choose_subprotocol(self, request):
            return request.subprotocols[-1]

    async def view(request):
        async with await Last.accept(aiohttp=request) as ws:
            await ws.send(f"{type(ws).__name__} {ws.subprotocol} {ws.request is request}")
        return web.Response()

    peer = await stage.dial(await stage.serving_view(view))
    await peer.ask("127.0.0.1", headers=("Sec-WebSocket-Protocol: a, b, c",))
    assert await peer.receive() == "Last c True"
    await peer.answer_close()


async def test_headers_that_are_not_ascii(stage):
    async def view(request):
        async with await AioServer.accept(aiohttp=request) as ws:
            await ws.send("accepted")
        return web.Response()

    peer = await stage.dial(await stage.serving_view(view))
    peer.writer.write(get({**GOOD, "Cookie": "snow=☃"}).decode().encode())
    assert (await peer.read_head()).status == 101
    await peer.answer_close()


async def test_reject_over_a_socket(stage):
    async def answer(sock):
        await read_headers(sock)
        await AioServer.reject(sock=sock, status_code=401, headers={"X-Why": "because"}, body=b"no entry")
        assert sock.fileno() == -1

    peer = await stage.dial(await stage.listening(answer))
    head = await peer.ask("127.0.0.1")
    assert (head.status, head.headers["x-why"]) == (401, "because")
    assert await peer.reader.read() == b"no entry"
