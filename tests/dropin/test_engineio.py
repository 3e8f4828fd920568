"""python-engineio, unmodified, as a plain WSGI application, with its own client and with one that does not do its part."""

from __future__ import annotations

import json
import time

import engineio
import pytest

from simple_websocket import ConnectionClosed

from .clients import UPGRADE, WEBSOCKET, EngineIO
from .conftest import PATIENCE, Running, eventually
from .entries import ENGINEIO

pytestmark = pytest.mark.parametrize("started", ENGINEIO, indirect=True, ids=lambda entry: entry.name)
EITHER = pytest.mark.parametrize("transports", [WEBSOCKET, UPGRADE], ids=["websocket", "upgrade"])

OPEN = "/engine.io/?EIO=4&transport=websocket"


def test_it_is_this_project(server: Running) -> None:
    """For eventlet python-engineio takes eventlet.websocket, for everything else this project."""
    found = json.loads(server.get("/identity"))
    assert found["async_mode"] == [server.entry.async_mode] * 2
    assert ("engineio.async_drivers._websocket_wsgi" in found["transport"]) == server.entry.ours, found
    assert ("eventlet.websocket" in found["transport"]) != server.entry.ours, found


@EITHER
def test_messages(server: Running, transports: list[str]) -> None:
    messages = ["hello", b"\x00\xff", "Grüße, 世界 🌍", {"a": [1, None]}, bytes(100_000), "é" * 50_000]
    with EngineIO(server, transports) as client:
        assert client.eio.transport() == "websocket"
        for message in messages:
            client.eio.send(message)
            assert client.next() == (message,)
        for message in messages:  # and without waiting
            client.eio.send(message)
        assert [client.next() for _ in messages] == [(message,) for message in messages]


@EITHER
def test_server_disconnects(server: Running, transports: list[str]) -> None:
    with EngineIO(server, transports) as client:
        client.eio.send("leave me alone")
        assert client.next() == ("disconnect", "server disconnect")


@EITHER
def test_client_disconnects(server: Running, transports: list[str]) -> None:
    with EngineIO(server, transports) as client:
        sid = client.eio.sid
        client.eio.disconnect()
        reason = eventually(lambda: json.loads(server.get(f"/left/{sid}")), "the server has not noticed")
        assert reason in ("client disconnect", "transport close")  # its Close frame may overtake what it says in words


@EITHER
def test_server_refuses(server: Running, transports: list[str]) -> None:
    with pytest.raises(engineio.exceptions.ConnectionError):
        EngineIO(server, transports, "?refuse=1")


def test_pings_of_engine_io(server: Running) -> None:
    """Who answers them stays; who does not is thrown out, while the server waits for a message from there."""
    with EngineIO(server, WEBSOCKET) as client, server.connect(OPEN) as mute:
        assert str(mute.receive(PATIENCE)).startswith("0{")
        opened = time.monotonic()
        assert mute.receive(PATIENCE) == "2"
        with pytest.raises(ConnectionClosed):
            mute.receive(PATIENCE)
        assert client.eio.ping_timeout <= time.monotonic() - opened < PATIENCE
        # Some pings later.
        client.eio.send("still here")
        assert client.next() == ("still here",)


def test_a_client_that_upgrades_in_its_own_way(server: Running) -> None:
    """Frames at the same moment as the request, and a Close frame of the server's own making at the end."""
    with server.connect(OPEN) as ws:
        opened = ws.receive(PATIENCE)
        assert str(opened).startswith("0{")
        ws.send("4hello")
        ws.send(b"bytes")
        received = []
        while len(received) < 2:
            message = ws.receive(PATIENCE)
            if message == "2":
                ws.send("3")
            else:
                received.append(message)
        assert received == ["4hello", b"bytes"]
        ws.send("1")  # the protocol's own close
        with pytest.raises(ConnectionClosed):
            while True:
                ws.receive(PATIENCE)
        if server.entry.ours:
            assert ws.close_reason == 1000
