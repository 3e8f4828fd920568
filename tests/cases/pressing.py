"""Little room and little time: small frames into a full socket, a TLS handshake through a narrow one, calls that come late."""

import socket

import pytest

from simple_websocket import ConnectionClosed
from tests.cases.marks import both_sides, plain_and_tls
from tests.support.peer import Peer, make_stream
from tests.support.served import serving
from tests.support.wire import PING
from tests.support.world import authority, client_context, server_context


@both_sides
@plain_and_tls
def test_messages_of_which_the_socket_takes_a_part(world, side, tls):
    ws, peer = world.open(side, tls, compression=False)
    total = 400

    def send():
        for number in range(total):
            ws.send(b"%06d" % number + bytes(number * 202))

    sending = world.spawn(send)
    world.sleep(0.3)
    assert not sending.finished  # there is no room any more
    for number in range(total):
        assert peer.receive() == b"%06d" % number + bytes(number * 202)
    sending.result()


@both_sides
def test_a_ping_on_a_connection_that_was_lost_a_moment_ago(world, side):
    for _ in range(3):
        ws, peer = world.open(side)
        peer.stream.reset()
        world.sleep(0.02)  # nobody has noticed yet
        with pytest.raises(ConnectionClosed) as error:
            for _ in range(3):
                ws.ping()
        assert error.value.reason == 1006


@both_sides
def test_receiving_with_a_timeout_while_a_peer_that_broke_the_rules_stays(world, side):
    ws, peer = world.open(side)
    peer.stream.write(peer.make(3))
    assert ws.receive(0.1) is None
    assert peer.expect_close().code == 1002
    with pytest.raises(ConnectionClosed) as error:
        by = world.clock() + 5
        while world.clock() < by:
            assert ws.receive(0.1) is None
    assert error.value.reason == 1002
    peer.expect_end()


def test_a_certificate_that_is_larger_than_the_socket(world):
    """The server has to wait for room in the middle of its handshake."""
    leaf = authority().issue_cert("127.0.0.1", *[f"number-{number:05}.of.a.name.that.is.long.example" for number in range(1200)])
    listening = world.make_socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    with serving(world, sock=listening, ssl_context=server_context(world, leaf)) as server:
        sock = world.make_socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        sock.connect_ex(server.address)
        assert world.writable(sock, 5)
        world.sleep(0.05)
        peer = Peer(make_stream(world, sock, client_context(), "127.0.0.1"), client=True)
        world.on_cleanup(peer.close)
        assert peer.ask("example.org").status == 101
        peer.send_frame(PING, b"through")
        assert peer.next_frame().payload == b"through"
