"""Flask-Sock, unmodified, on every server: messages, its options, and every way in which a handler ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo.process import ROOT
from simple_websocket import ConnectionClosed
from tests.servers.raw import BINARY, CLOSE, OPENING, PING, TEXT, RawClient, close_frame, frame

from .conftest import PATIENCE, Running
from .entries import FLASK_SOCK

pytestmark = pytest.mark.parametrize("started", FLASK_SOCK, indirect=True, ids=lambda entry: entry.name)


def test_echo(server: Running) -> None:
    with server.connect("/echo") as ws:
        for message in ["", b"", "Grüße", bytes(range(256)), "é" * 500_000]:
            ws.send(message)
            assert ws.receive(PATIENCE) == message
    assert ws.close_reason == 1000


def test_client_closes(server: Running) -> None:
    early = frame(TEXT, b"early")
    with server.raw("/echo", b"" if server.entry.own_copy else early) as raw:
        if server.entry.own_copy:
            raw.send(early)
        assert raw.receive() == (TEXT, b"early")
        raw.send(close_frame(1001, "bye"))
        assert raw.receive() == (CLOSE, b"\x03\xe9")
        assert raw.rest(within=1.0) == b""


@pytest.mark.parametrize("drop", [RawClient.close, RawClient.reset], ids=["FIN", "RST"])
def test_client_drops_tcp(server: Running, drop) -> None:
    with server.raw("/echo") as raw:
        raw.send(frame(BINARY, b"hello"))
        assert raw.receive() == (BINARY, b"hello")
        drop(raw)


def test_handler_returns(server: Running) -> None:
    with server.raw("/returns") as raw:
        raw.send(frame(TEXT, b"go"))
        assert raw.receive() == (TEXT, b"go")
        assert raw.receive() == (CLOSE, b"\x03\xe8")
        raw.send(close_frame(1000))
        assert raw.rest(within=1.0) == b""


def test_handler_raises(server: Running) -> None:
    """Flask-Sock leaves the connection open then, and Flask has an error page to send."""
    with server.raw("/raises") as raw:
        raw.send(frame(TEXT, b"go"))
        opcode, payload = raw.receive()
        assert opcode == CLOSE and payload[:2] in (b"\x03\xe9", b"\x03\xf3")  # 1001 or 1011
        raw.send(close_frame(1000))
        assert raw.rest(within=1.0) == b""


def test_handler_closes(server: Running) -> None:
    with server.raw("/closes") as raw:
        raw.send(frame(TEXT, b"go"))
        assert raw.receive() == (CLOSE, b"\x0f\xa1enough")
        raw.send(close_frame(4001))
        assert raw.rest(within=1.0) == b""


def test_handler_goes_on_after_its_close(server: Running) -> None:
    with server.raw("/closes-and-goes-on") as raw:
        assert raw.receive() == (CLOSE, b"\x0f\xa2too much")
        raw.send(close_frame(4002))
        assert raw.rest(within=1.0) == b""


def test_mode(server: Running) -> None:
    """What it decides by how to end a request."""
    with server.connect("/mode") as ws:
        assert ws.receive(PATIENCE) == server.entry.mode


def test_route_of_a_blueprint(server: Running) -> None:
    with server.connect("/parts/shelf/7") as ws:
        assert ws.receive(PATIENCE) == "shelf 7"


def test_options(server: Running) -> None:
    """`app.config["SOCK_SERVER_OPTIONS"]`, and `init_app`."""
    with server.connect("/configured/echo", subprotocols=["other", "echo", "chat"]) as ws:
        assert ws.subprotocol == "echo"
        ws.send("x" * 1000)
        assert ws.receive(PATIENCE) == "x" * 1000
        ws.send("x" * 1001)
        with pytest.raises(ConnectionClosed) as closed:
            ws.receive(PATIENCE)
        assert closed.value.reason == 1009
    with server.raw("/configured/echo") as raw:
        assert raw.receive().opcode == PING
        raw.send(close_frame(1000))
        assert raw.receive().opcode == CLOSE


BAD = {
    "GET": ("GET", {}),
    "POST": ("POST", {}),
    "HEAD": ("HEAD", {}),
    "POST with an upgrade": ("POST", OPENING),
}


@pytest.mark.parametrize("case", BAD)
def test_plain_http_on_the_route(server: Running, case: str) -> None:
    method, headers = BAD[case]
    connection = server.http()
    try:
        connection.request(method, "/echo", headers=headers)
        response = connection.getresponse()
        response.read()
        assert 400 <= response.status < 500
    finally:
        connection.close()


def test_twenty_one_after_the_other(server: Running) -> None:
    for number in range(20):
        with server.connect("/echo") as ws:
            ws.send(str(number))
            assert ws.receive(PATIENCE) == str(number)


def test_many_at_once(server: Running) -> None:
    connections = [server.connect("/echo") for _ in range(server.entry.at_once)]
    for number, ws in enumerate(connections):
        ws.send(f"to {number}")
    for number, ws in reversed(list(enumerate(connections))):
        assert ws.receive(PATIENCE) == f"to {number}"
    for ws in connections:
        ws.close()
        assert ws.close_reason == 1000


def test_it_is_this_project(server: Running) -> None:
    found = json.loads(server.get("/identity"))
    assert Path(found["file"]) == ROOT / "simple_websocket" / "__init__.py"
    assert found["flask_sock"]
