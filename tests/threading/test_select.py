"""Threads that wait with select and cannot try a blocking socket, as on Windows: the same backend with other parts."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from simple_websocket import Client, ConnectionClosed
from simple_websocket.backends import resolve
from simple_websocket.backends.threading import SelectWaiter
from tests.support.wire import PING, PONG

SELECTING = dataclasses.replace(resolve(), waiter=SelectWaiter, parks_in_recv=False)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_messages_of_every_size(world, tls):
    client, server = world.pair(tls, {"backend": SELECTING}, {"backend": SELECTING})

    def echo():
        for message in server:
            server.send(message)

    echoing = world.spawn(echo)
    for size in (0, 125, 70_000, 8 << 20):
        sending = world.spawn(client.send, bytes(size))
        assert hashlib.sha256(client.receive(20)).digest() == hashlib.sha256(bytes(size)).digest()
        sending.result()
    assert client.receive(0.05) is None
    client.close(4000)
    echoing.result()
    assert server.close_reason == 4000


@pytest.mark.parametrize("side", ["client", "server"])
def test_pings_timeouts_and_a_peer_that_goes(world, side):
    ws, peer = world.open(side, backend=SELECTING)
    assert ws.receive(0.05) is None
    peer.send_frame(PING, b"while nobody receives")
    assert peer.expect(PONG, 2).payload == b"while nobody receives"
    sending = world.spawn(ws.send, bytes(32 << 20))  # more than is taken at once
    receiving = world.spawn(ws.receive)
    peer.send("hello")
    assert receiving.result() == "hello"
    peer.stream.read()
    peer.stream.reset()
    with pytest.raises(ConnectionClosed):
        sending.result()


def test_connecting_to_nobody_and_to_a_server_that_says_nothing(world):
    listener = world.listen()
    with pytest.raises((OSError, Exception), match="in time|seconds|408|no answer|timed out"):
        Client.connect(listener.url(), open_timeout=0.2, backend=SELECTING)
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        Client.connect(listener.url(), backend=SELECTING)
