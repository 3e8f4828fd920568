"""Connections on which nothing happens, behind proxies whose patience is two seconds; and clients that are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from simple_websocket import Client, ConnectionClosed
from tests.servers.raw import CLOSE, PING, TEXT, close_frame, frame, unique

from .conftest import Front
from .processes import KINDS, Application, Proxy

IDLE = 2.0  # seconds, in place of the minute that the documented configuration says
INTERVAL = 0.5

# Who sends pings: how the route is asked for, and the client's options.
PINGING = {"server": (f"ping={INTERVAL}&", {}), "client": ("", {"ping_interval": INTERVAL}), "nobody": ("", {})}


class Idle:
    """One idle connection for each way in and each side that may ping, all of them idle at the same time."""

    def __init__(self, application: Application, proxy: Proxy) -> None:
        self._connections: dict[tuple[bool, str], tuple[Front, str, Client]] = {}
        for tls in (False, True):
            front = Front(application, proxy, tls)
            for who, (query, options) in PINGING.items():
                name = unique()
                ws = front.connect(f"/echo?{query}id={name}", **options)
                ws.send("hello")
                assert ws.receive(timeout=5) == "hello"
                self._connections[tls, who] = front, name, ws
        self._idle_since = time.monotonic()

    def get(self, tls: bool, who: str) -> tuple[Front, str, Client]:
        """Wait for the rest of twice the proxy's patience; nothing else than the wait may happen to a connection."""
        time.sleep(max(0.0, self._idle_since + 2 * IDLE - time.monotonic()))
        return self._connections[tls, who]

    def close(self) -> None:
        for _, _, ws in self._connections.values():
            ws.close()


@pytest.fixture(scope="module", params=KINDS)
def idle(request: pytest.FixtureRequest, application: Application, make_proxy: Callable[..., Proxy]) -> Iterator[Idle]:
    with make_proxy(request.param, application.address, idle=IDLE) as proxy:
        connections = Idle(application, proxy)
        yield connections
        connections.close()


@pytest.mark.parametrize("who", ["server", "client"])
@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
def test_pings_keep_an_idle_connection(idle: Idle, tls: bool, who: str) -> None:
    front, name, ws = idle.get(tls, who)
    ws.send("still there")
    assert ws.receive(timeout=5) == "still there"
    ws.close()
    assert front.ended(name, within=2) == 1000


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
def test_an_idle_connection_without_pings_is_cut(idle: Idle, tls: bool) -> None:
    """Both sides are told, and told that it was not the other one who closed."""
    front, name, ws = idle.get(tls, "nobody")
    with pytest.raises(ConnectionClosed) as caught:
        ws.receive(timeout=5)
    assert caught.value.reason == 1006
    assert front.ended(name, within=2) == 1006


def test_a_client_that_says_nothing_more_is_noticed(front: Front) -> None:
    """It neither answers pings nor ends TCP: behind a proxy nothing else tells the application."""
    name = unique()
    with front.raw(f"/echo?ping=0.5&id={name}") as raw:
        raw.send(frame(TEXT, b"hello"))
        assert raw.receive() == (TEXT, b"hello")
        assert front.ended(name, within=3) == 1008
        opcodes = [raw.receive().opcode]
        while opcodes[-1] == PING:
            opcodes.append(raw.receive().opcode)
        assert opcodes[0] == PING and opcodes[-1] == CLOSE


def test_a_client_that_drops_its_connection_is_noticed(front: Front) -> None:
    """By the application and at once: the proxy passes the end of TCP on."""
    name = unique()
    with front.raw(f"/echo?id={name}") as raw:
        raw.send(frame(TEXT, b"hello"))
        assert raw.receive() == (TEXT, b"hello")
        raw.reset()
    assert front.ended(name, within=1) == 1006


def test_tcp_ends_with_the_closing_handshake(front: Front) -> None:
    """Nothing behind the Close frame, and neither proxy keeps the connection open after it."""
    with front.raw("/echo") as raw:
        raw.send(frame(TEXT, b"hello"))
        assert raw.receive() == (TEXT, b"hello")
        raw.send(close_frame(1000, "bye"))
        assert raw.receive() == (CLOSE, b"\x03\xe8")
        assert raw.rest(within=1) == b""
