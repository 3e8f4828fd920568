"""Flask-SocketIO, unmodified, in every async mode and on every server for it, with python-socketio's client."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import socketio

from .clients import UPGRADE, WEBSOCKET, SocketIO
from .conftest import PATIENCE, Running, eventually
from .entries import ENGINEIO

pytestmark = [
    pytest.mark.parametrize("started", ENGINEIO, indirect=True, ids=lambda entry: entry.name),
    pytest.mark.parametrize("transports", [WEBSOCKET, UPGRADE], ids=["websocket", "upgrade"]),
]


def left(server: Running, sid: str) -> str:
    """Wait for the server's word on why a client has left."""
    return eventually(lambda: json.loads(server.get(f"/left/{sid}")), "the server has not noticed that a client left")


def test_events(server: Running, transports: list[str]) -> None:
    """Both ways, text and binary, small and larger than a frame's short forms."""
    with SocketIO(server, transports, auth={"user": "jo"}) as client:
        assert client.sio.transport() == "websocket"
        assert client.next() == ("welcome", {"auth": {"user": "jo"}})
        for arguments in [
            ("hello",),
            ("Grüße, 世界 🌍", 1, None, [True, {"a": 1.5}]),
            (bytes(range(256)),),
            ({"file": b"\x00\xff" * 50_000, "name": "x"}, b"second"),
            ("é" * 100_000,),
            (),
        ]:
            client.sio.emit("echo", arguments)
            assert client.next() == ("echo", *arguments)
        client.sio.emit("ticks", 10)
        assert [client.next() for _ in range(10)] == [("tick", number) for number in range(10)]


def test_acknowledgements(server: Running, transports: list[str]) -> None:
    with SocketIO(server, transports, answers={"question": (42, b"\x2a")}) as client:
        assert client.next()[0] == "welcome"
        assert client.sio.call("acknowledged", ("x", b"y"), timeout=PATIENCE) == ("got", "x", b"y")
        client.sio.emit("ask me", "how much?")
        assert client.next() == ("question", "how much?")
        assert client.next() == ("you said", 42, b"\x2a")


def test_a_namespace(server: Running, transports: list[str]) -> None:
    with SocketIO(server, transports, namespaces=["/", "/shouting"]) as client:
        assert client.sio.call("say", "quietly", namespace="/shouting", timeout=PATIENCE) == "QUIETLY"


def test_rooms(server: Running, transports: list[str]) -> None:
    with SocketIO(server, transports) as one, SocketIO(server, transports) as two, SocketIO(server, transports) as three:
        everybody = (one, two, three)
        for client in everybody:
            assert client.next()[0] == "welcome"
        for client in (one, two):
            client.sio.call("join", "garden", timeout=PATIENCE)
        three.sio.call("tell", ("garden", {"rain": b"much"}), timeout=PATIENCE)
        assert one.next() == two.next() == ("news", {"rain": b"much"})
        two.sio.call("leave", "garden", timeout=PATIENCE)
        three.sio.call("tell", ("garden", "sun"), timeout=PATIENCE)
        assert one.next() == ("news", "sun")
        for client in everybody:  # an answer comes after everything that was sent before
            assert client.sio.call("acknowledged", timeout=PATIENCE) == "got"
            assert client.nothing()


def test_server_disconnects(server: Running, transports: list[str]) -> None:
    with SocketIO(server, transports) as client:
        assert client.next()[0] == "welcome"
        client.sio.emit("throw me out")
        assert client.next() == ("disconnect", "server disconnect")


def test_client_disconnects(server: Running, transports: list[str]) -> None:
    with SocketIO(server, transports) as client:
        assert client.next()[0] == "welcome"
        sid = client.sio.get_sid()
        client.sio.disconnect()
        assert client.next() == ("disconnect", "client disconnect")
        # Its Close frame may overtake what it says in words.
        assert left(server, sid) in ("client disconnect", "transport close")


def test_client_drops_tcp(server: Running, transports: list[str]) -> None:
    with SocketIO(server, transports) as client:
        assert client.next()[0] == "welcome"
        sid = client.sio.get_sid()
        client.sio.eio.ws.sock.shutdown(socket.SHUT_RDWR)
        assert left(server, sid) == "transport close"


def test_server_refuses(server: Running, transports: list[str]) -> None:
    with pytest.raises(socketio.exceptions.ConnectionError):
        SocketIO(server, transports, auth={"password": "wrong"})


def test_many_at_once(server: Running, transports: list[str]) -> None:
    clients: list[SocketIO] = []
    everybody = server.entry.at_once
    together = threading.Barrier(everybody, timeout=PATIENCE)

    def talk(number: int) -> Any:
        client = SocketIO(server, transports)
        clients.append(client)
        assert client.next()[0] == "welcome"
        client.sio.call("join", "hall", timeout=PATIENCE)
        together.wait()
        for round in range(5):
            client.sio.emit("echo", (number, round))
        # Each event has a thread of its own in the server.
        assert sorted(client.next() for _ in range(5)) == [("echo", number, round) for round in range(5)]
        together.wait()
        if number == 0:
            client.sio.emit("tell", ("hall", b"all"))
        assert client.next() == ("news", b"all")
        together.wait()

    try:
        with ThreadPoolExecutor(everybody) as pool:
            list(pool.map(talk, range(everybody)))
    finally:
        for client in clients:
            client.__exit__()
