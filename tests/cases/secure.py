"""TLS: nothing stays hidden in its buffers, two directions at once, wrong certificates."""

import gc
import os
import ssl

import pytest
import trustme

from simple_websocket import Client, ConnectionClosed
from tests.cases.marks import both_sides
from tests.support import leaks
from tests.support.peer import make_stream
from tests.support.wire import PING
from tests.support.world import authority, client_context, server_context


@both_sides
def test_15_kilobytes_with_a_ping_interval_arrive_at_once(world, side):
    """One TLS record is more than one read: the rest of it makes no socket readable."""
    ws, peer = world.open(side, tls=True, ping_interval=3, ping_timeout=20)
    for waiting in (True, False):
        if not waiting:
            world.sleep(0.6)  # the keeper reads
        for _ in range(3):
            receiving = world.spawn(ws.receive) if waiting else None
            peer.send(os.urandom(15000))
            started = world.clock()
            message = receiving.result(10) if receiving else ws.receive(10)
            assert len(message) == 15000
            assert world.clock() - started < 0.5


@both_sides
def test_many_messages_in_one_record(world, side):
    ws, peer = world.open(side, tls=True)
    peer.stream.write(b"".join(peer.message(str(number)) for number in range(1000)))
    for number in range(1000):
        assert ws.receive(1) == str(number)
    # And when it is the keeper who reads them, up to its bound.
    peer.stream.write(b"".join(peer.message(str(number)) for number in range(1000)) + peer.make(PING, b"!"))
    world.sleep(0.6)
    assert [ws.receive(1) for _ in range(1000)] == [str(number) for number in range(1000)]


def test_both_directions_flat_out_in_two_tasks_each(world):
    client, server = world.pair(tls=True, client={"ping_interval": 0.2, "ping_timeout": 10})
    stop = world.clock() + 2

    def send(ws):
        count = 0
        while world.clock() < stop:
            ws.send(b"%d " % count + bytes(count * 131 % 30000))
            count += 1
            if count % 20 == 0:
                world.sleep(0)
        ws.send("end")
        return count

    def receive(ws):
        count = 0
        while (message := ws.receive(20)) != "end":
            assert message == b"%d " % count + bytes(count * 131 % 30000)
            count += 1
        return count

    sending = [world.spawn(send, ws) for ws in (client, server)]
    receiving = [world.spawn(receive, ws) for ws in (server, client)]
    sent = [task.result(30) for task in sending]
    assert [task.result(30) for task in receiving] == sent
    assert min(sent) > 20
    assert client.connected and server.connected


@pytest.mark.parametrize("what", ["authority", "name"])
def test_a_wrong_certificate_is_refused_and_leaves_nothing(world, what):
    listener = world.listen()
    leaf = trustme.CA().issue_cert("127.0.0.1") if what == "authority" else None
    if what == "name":
        leaf = authority().issue_cert("somewhere.else.example")
    before = leaks.descriptors()

    def serve():
        sock = listener.accept()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            make_stream(world, sock, server_context(world, leaf)).read()
            raise ConnectionResetError
        sock.close()

    serving = world.spawn(serve)
    with pytest.raises(ssl.SSLCertVerificationError):
        Client.connect(listener.url(tls=True), ssl_context=client_context(), **world.options)
    serving.result()
    gc.collect()
    world.until(lambda: set(leaks.descriptors()) <= set(before), 3)


def test_the_default_context_does_not_trust_anybody(world):
    listener = world.listen()

    def serve():
        sock = listener.accept()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            make_stream(world, sock, server_context(world)).read()
            raise ConnectionResetError
        sock.close()

    serving = world.spawn(serve)
    with pytest.raises(ssl.SSLCertVerificationError):
        Client.connect(listener.url(tls=True), **world.options)
    serving.result()


def test_a_server_that_does_not_speak_tls(world):
    listener = world.listen()

    def serve():
        stream = make_stream(world, listener.accept())
        stream.read()
        stream.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        stream.close()

    serving = world.spawn(serve)
    with pytest.raises(OSError):
        Client.connect(listener.url(tls=True), ssl_context=client_context(), **world.options)
    serving.result()


def test_a_server_that_never_answers_the_tls_handshake(world):
    listener = world.listen()
    started = world.clock()
    with pytest.raises((OSError, TimeoutError)):
        Client.connect(listener.url(tls=True), ssl_context=client_context(), open_timeout=0.4, **world.options)
    assert 0.3 < world.clock() - started < 3


@both_sides
def test_close_while_receiving_over_tls_again_and_again(world, side):
    for _ in range(15):
        client, server = world.pair(tls=True)
        ws, other = (client, server) if side == "client" else (server, client)
        receiving = [world.spawn(ws.receive), world.spawn(other.receive)]
        ws.close()
        for task in receiving:
            with pytest.raises(ConnectionClosed) as error:
                task.result(5)
            assert error.value.reason == 1000


@both_sides
def test_the_end_of_tls_without_a_close_frame_is_1006(world, side):
    ws, peer = world.open(side, tls=True)
    peer.send("before")
    peer.stream.goodbye()
    assert ws.receive(5) == "before"
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert error.value.reason == 1006
