"""Sockets that the server closes without a word, sockets that fail as none should, a backend that never asks about stopping."""

import dataclasses
import os

import pytest

from simple_websocket import ConnectionClosed, Server
from simple_websocket.backends import resolve
from tests.support import leaks
from tests.support.peer import Peer, make_stream
from tests.support.wire import PING, PONG
from tests.support.world import read_request


def original(sock):
    """The standard library's socket inside a greenlet library's."""
    return getattr(sock, "fd", None) or getattr(sock, "_sock", None) or sock


def test_a_descriptor_that_is_closed_before_the_keeper_has_it(world):
    ws, peer = world.open("server")
    os.close(original(ws._link.sock).detach())  # as a server in C does: behind the back of Python's object
    world.until(lambda: not ws.connected, 2)
    peer.expect_end()
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(1)
    assert error.value.reason == 1006
    world.until(lambda: not leaks.keepers())


def test_a_descriptor_that_is_closed_and_comes_back_as_another_connection(world):
    """The number is in the keeper's selector; the new connection must be looked after all the same."""
    ws, peer = world.open("server", ping_interval=30)
    world.until(lambda: ws._link.watched)
    listener = world.listen()
    ours = world.dial(listener.address)
    theirs = listener.accept()
    number = original(ws._link.sock).detach()
    os.dup2(theirs.fileno(), number)  # closes it, and makes it the new connection's
    theirs.close()
    other, second = accept_on(world, number, ours)
    for text in (b"one", b"two"):
        second.send_frame(PING, text)
        assert second.expect(PONG, 2).payload == text
    second.send("hello")
    assert other.receive(5) == "hello"
    ws.close()
    second.send("still there")
    assert other.receive(5) == "still there"


def accept_on(world, number, ours):
    """A Server on a descriptor, and its peer on the other end."""
    sock = world.server_socket(world.make_socket(fileno=number))
    world.on_cleanup(sock.close)
    peer = Peer(make_stream(world, ours), client=True)
    world.on_cleanup(peer.close)
    accepting = world.spawn(lambda: Server.accept(read_request(sock).environ(), sock=sock, **world.options))
    assert peer.ask("example.org").status == 101
    ws = accepting.result()
    world._connections.append(ws)
    return ws, peer


class Broken(Exception):
    """No OSError, as another TLS library's errors are none."""


def test_one_connections_fault_does_not_end_the_care_for_the_others(world, caplog):
    ws, peer = world.open("server")
    others = [world.open(side) for side in ("client", "server")]
    world.until(lambda: ws._link.watched)

    def fail(*_):
        raise Broken("on purpose")

    ws._link._transport._recv = fail
    peer.send_frame(PING, b"nobody answers")
    world.until(lambda: "on purpose" in caplog.text)
    for _, second in others:
        second.send_frame(PING, b"still answered")
        assert second.expect(PONG, 2).payload == b"still answered"
    assert "while it was looked after" in caplog.text
    del ws._link._transport._recv
    ws._link._transport._recv = ws._link.sock.recv


def test_a_backend_that_is_never_told_to_stop(world):
    """Then the keeper sleeps until it is woken, and has to be when somebody stops to wait in receive()."""
    backend = dataclasses.replace(resolve(**world.options), told_to_stop=None)
    ws, peer = world.open("server", backend=backend)
    for number in range(3):
        receiving = world.spawn(ws.receive)
        world.sleep(0.6)  # parked, and nothing to look at
        peer.send(str(number))
        assert receiving.result(5) == str(number)
        peer.send_frame(PING, b"busy")
        assert peer.expect(PONG, 1.5).payload == b"busy"
    receiving = world.spawn(ws.receive)
    world.sleep(0.6)
    peer.send_close(1000)
    receiving.wait()
    assert ws.close_reason == 1000
    world.until(lambda: not leaks.keepers())
