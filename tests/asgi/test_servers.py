"""AioServer.accept(asgi=...) on every ASGI server: the same methods with the same results, as far as the server tells."""

from __future__ import annotations

import os

import pytest

from simple_websocket import ConnectionClosed, ConnectionError


def closed(ws, timeout=10):
    """How the connection ends for the client."""
    with pytest.raises(ConnectionClosed) as caught:
        while ws.receive(timeout) is not None:
            pass
    return caught.value


@pytest.mark.parametrize("path", ["echo", "iterate"])
def test_echo(server, name, path):
    with server.connect(path, name) as ws:
        for message in ("hello", "naïve – ☃ 𝄞", "", b"bytes", b"", b"\x00\xff", "x" * 70_000, os.urandom(1 << 20), "é" * 300_000):
            if not message and not server.kind.empty:
                continue
            ws.send(message)
            received = ws.receive(10)
            assert received == message and type(received) is type(message)
        for number in range(200):
            ws.send(str(number))
        assert [ws.receive(10) for _ in range(200)] == [str(number) for number in range(200)]


def test_an_application_object_as_the_endpoint_of_a_route(server):
    from simple_websocket import Client

    with Client.connect(server.url("endpoint").rstrip("/")) as ws:
        ws.send("hello")
        assert ws.receive(10) == "hello"


def test_the_servers_close(server, name):
    ws = server.connect("closing", name)
    error = closed(ws)
    assert (error.reason, error.message or "") == (4001, "why" if server.kind.says_reason else "")
    assert server.told(name) == [{"closed": 4001, "message": "why"}] * 6


def test_the_clients_close(server, name):
    ws = server.connect("disconnected", name)
    ws.close(4002, "bye")
    found = server.told(name)
    code = 4002 if server.kind.code else 1006
    assert found[:6] == [{"closed": code, "message": "bye" if server.kind.reason else None}] * 6
    assert found[6] is None


def test_the_clients_close_while_iterating(server, name):
    ws = server.connect("iterate", name)
    ws.close(4003)
    code = 4003 if server.kind.code else 1006
    assert server.told(name) == {"reason": code, "message": None, "connected": False}


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_send_after_the_disconnect_raises(server, name, how):
    ws = server.connect("sending", name)
    assert ws.receive(10) == "tick"
    if how == "close":
        ws.close(4004)
    else:
        ws._link._transport.shutdown()
    found = server.told(name)
    assert all(isinstance(one, dict) and "closed" in one for one in found), found
    assert len({one["closed"] for one in found}) == 1
    assert found[0]["closed"] in ((4004, 1006) if how == "close" else (1005, 1006))


def test_subprotocols(server):
    for asked, expected in ((["two", "one"], "two"), (["three"], None), (None, None)):
        with server.connect("echo", subprotocols=asked) as ws:
            assert ws.subprotocol == expected


def test_additional_headers(server):
    head = server.handshake("/echo/")
    assert head.status == 101
    assert (head.headers.get("x-mine") == "yes") is server.kind.headers


def test_denial(server):
    with pytest.raises(ConnectionError) as caught:
        server.connect("denying")
    assert caught.value.status_code == server.kind.status
    if server.kind.status == 401:
        headers = {name.lower(): value for name, value in caught.value.headers}
        assert headers["x-why"] == "because" and caught.value.body == b"no entry"


def test_timeouts(server, name):
    ws = server.connect("timeouts", name)
    assert ws.receive(10) == "go"
    ws.send("first")
    ws.send("second")
    assert server.told(name) == [None, None, "first", "second"]
    assert closed(ws).reason == 1000


def test_cancelled_receives_lose_nothing(server, name):
    ws = server.connect("cancelling", name)
    for number in range(200):
        ws.send(str(number))
    assert ws.receive(10) == "all"
    assert server.told(name) is True
    assert closed(ws).reason == 1000


def test_a_message_above_the_limit(server, name):
    ws = server.connect("limited", name)
    ws.send("x" * 1000)
    ws.send(b"x" * 1001)
    assert closed(ws).reason == (1009 if server.kind.codes else 1000)
    found = server.told(name)
    assert found[0] == "x" * 1000 and [one["closed"] for one in found[1:]] == [1009, 1009]


def test_an_application_that_returns_while_the_connection_is_open(server):
    ws = server.connect("returning")
    assert closed(ws).reason in server.kind.returned


def test_several_tasks_send(server):
    with server.connect("senders") as ws:
        expected = dict.fromkeys(range(5), 0)
        for _ in range(50):
            message = ws.receive(10)
            number, count = message[:2]
            assert message == bytes([number, count]) * 30_000 and count == expected[number]
            expected[number] += 1
        ws.send("thanks")
        assert closed(ws).reason == 1000


def test_pings_are_the_servers_own(server):
    with server.connect("pinging") as ws:
        assert "ValueError" in ws.receive(10)
