"""How a connection ends on every server: no byte behind the Close frame, no traceback, and TCP ends at once."""

from __future__ import annotations

import json

import pytest

from .conftest import Running
from .raw import CLOSE, TEXT, RawClient, close_frame, frame, unique


def test_client_closes(server: Running) -> None:
    name = unique()
    with server.raw(f"/echo?id={name}") as raw:
        raw.send(frame(TEXT, b"hello"))
        assert raw.receive() == (TEXT, b"hello")
        raw.send(close_frame(1000, "bye"))
        assert raw.receive() == (CLOSE, b"\x03\xe8")
        assert raw.rest(within=1.0) == b""
    assert server.ended(name) == 1000


def test_server_closes(server: Running) -> None:
    name = unique()
    with server.raw(f"/hang-up?id={name}") as raw:
        raw.send(frame(TEXT, b"go"))
        assert raw.receive() == (CLOSE, b"\x0f\xa1enough")
        raw.send(close_frame(4001))
        assert raw.rest(within=1.0) == b""
    assert server.ended(name) == 4001


def test_handler_returns_with_the_connection_open(server: Running) -> None:
    name = unique()
    with server.raw(f"/leave?id={name}") as raw:
        assert raw.receive() == (TEXT, b"bye")
        assert raw.receive() == (CLOSE, b"\x03\xe9")
        assert raw.rest(within=1.0) == b""
    server.ended(name)


def test_handler_fails_in_a_with_block(server: Running) -> None:
    """The framework's error page does not get into the WebSocket."""
    name = unique()
    with server.raw(f"/fail?id={name}") as raw:
        raw.send(frame(TEXT, b"go"))
        assert raw.receive() == (CLOSE, b"\x03\xf3")
        raw.send(close_frame(1011))
        assert raw.rest(within=1.0) == b""
    server.ended(name)


def test_handler_raises_with_the_connection_open(server: Running) -> None:
    """Nor does it get there when nobody has closed the connection."""
    name = unique()
    with server.raw(f"/raise?id={name}") as raw:
        raw.send(frame(TEXT, b"go"))
        assert raw.receive() in ((CLOSE, b"\x03\xf3"), (CLOSE, b"\x03\xe9"))  # 1001: the server has not written but gone on
        raw.send(close_frame(1011))
        assert raw.rest(within=1.0) == b""
    server.ended(name)


def test_handler_returns_while_somebody_else_holds_the_connection(server: Running) -> None:
    name = unique()
    with server.raw(f"/keep?id={name}") as raw:
        assert raw.receive() == (TEXT, b"kept")
        if server.entry.own_copy:
            server.ended(name)
            assert json.loads(server.get(f"/kept?id={name}")) == [True, None]  # and lets go of it
            assert raw.receive() == (CLOSE, b"\x03\xe9")
            assert raw.rest(within=1.0) == b""
            return
        assert raw.receive() == (CLOSE, b"\x03\xe9")
        raw.send(close_frame(1001))
        assert raw.rest(within=1.0) == b""
    server.ended(name)
    assert json.loads(server.get(f"/kept?id={name}")) == [False, 1001]


@pytest.mark.parametrize("drop", [RawClient.close, RawClient.reset], ids=["FIN", "RST"])
def test_client_drops_tcp(server: Running, drop) -> None:
    name = unique()
    with server.raw(f"/echo?id={name}") as raw:
        raw.send(frame(TEXT, b"hello"))
        assert raw.receive() == (TEXT, b"hello")
        drop(raw)
    assert server.ended(name) == 1006


def test_client_drops_tcp_while_the_handler_is_busy(server: Running) -> None:
    name = unique()
    with server.raw(f"/busy?id={name}") as raw:
        assert raw.receive() == (TEXT, b"busy")
    assert server.ended(name, within=1.5) == 1006


def test_many_connections_one_after_the_other(server: Running) -> None:
    """A server that counts its connections must not lose count."""
    for number in range(20):
        with server.connect("/echo") as ws:
            ws.send(str(number))
            assert ws.receive(timeout=5) == str(number)
        assert ws.close_reason == 1000
    assert server.get("/") == "plain HTTP"
