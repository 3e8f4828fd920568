"""serve(): where it listens."""

import os
import socket
import stat

import pytest

from simple_websocket import serve
from tests.support.peer import Peer, make_stream
from tests.support.served import dial, echo, read_all, serving


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_serve_on_ipv6(world):
    with serving(world, lambda ws: ws.send(ws.environ["REMOTE_ADDR"]), "::1") as server:
        assert server.address == ("::1", server.port)
        ws = world.connect(f"ws://[::1]:{server.port}/")
        assert ws.receive(5) == "::1"


def test_serve_on_every_address_of_a_name_and_everywhere(world):
    for host in ("localhost", None, ""):
        with serving(world, echo, host) as server:
            assert {address[1] for address in server.addresses} == {server.port}
            for number in (("127.0.0.1",) if len(server.addresses) == 1 else ("127.0.0.1", "[::1]")):
                ws = world.connect(f"ws://{number}:{server.port}/")
                ws.send("hello")
                assert ws.receive(5) == "hello"


def test_serve_on_a_port_that_is_in_use(world):
    with serving(world) as server:
        with pytest.raises(OSError, match=f"port {server.port}"):
            serve(echo, "127.0.0.1", server.port, **world.options)
        port = server.port
        world.connect(server.url).close()
    with serving(world, echo, "127.0.0.1", port) as server:  # free again, and connections in TIME_WAIT do not matter
        assert server.port == port
        world.connect(server.url).close()


def test_serve_on_a_port_that_others_may_share(world):
    with serving(world, reuse_port=True) as server, serving(world, echo, "127.0.0.1", server.port, reuse_port=True) as other:
        assert other.port == server.port
        for _ in range(4):
            world.connect(server.url).close()


def test_serve_on_a_name_that_is_not_there(world):
    with pytest.raises(OSError):
        serve(echo, "no-such-host.invalid", **world.options)
    with pytest.raises(OSError):
        serve(echo, "192.0.2.1", **world.options)  # nobody has that address


def unix_dial(world, path):
    sock = world.make_socket(socket.AF_UNIX)
    world.on_cleanup(sock.close)
    sock.setblocking(False)
    sock.connect(path)
    return sock


def test_serve_on_a_unix_socket(world, tmp_path):
    path = str(tmp_path / "socket")
    seen = []
    with serving(world, lambda ws: [seen.append(ws.environ), echo(ws)], path=tmp_path / "socket") as server:
        assert (server.address, server.port) == (path, None)
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        peer = Peer(make_stream(world, unix_dial(world, path)), client=True)
        assert peer.ask("localhost").status == 101
        peer.send("hello")
        assert peer.receive() == "hello"
        assert (seen[0]["SERVER_NAME"], seen[0]["REMOTE_ADDR"]) == ("localhost", "")
        with pytest.raises(OSError, match="socket"):
            serve(echo, path=path, **world.options)  # somebody listens there
        peer.send_close(1000)
        peer.expect_close()
    assert not os.path.exists(path)


def test_what_is_left_at_a_path(world, tmp_path):
    path = str(tmp_path / "socket")
    abandoned = world.make_socket(socket.AF_UNIX)
    abandoned.bind(path)
    abandoned.close()
    assert os.path.exists(path)
    with serving(world, path=path):
        unix_dial(world, path)
        os.unlink(path)
        (tmp_path / "socket").write_text("somebody else's")
    assert (tmp_path / "socket").read_text() == "somebody else's"
    with pytest.raises(OSError):
        serve(echo, path=path, **world.options)
    assert (tmp_path / "socket").read_text() == "somebody else's"


@pytest.mark.parametrize("own", [False, True], ids=["original", "of-the-family"])
def test_serve_on_a_socket_of_ones_own(world, own):
    sock = world.make_socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    port = sock.getsockname()[1]
    if own:
        sock = world.server_socket(sock)
    with serving(world, sock=sock) as server:
        assert server.port == port
        ws = world.connect(server.url)
        ws.send("hello")
        assert ws.receive(5) == "hello"
    assert sock.fileno() < 0
    with pytest.raises((OSError, AssertionError)):
        read_all(dial(world, server))
