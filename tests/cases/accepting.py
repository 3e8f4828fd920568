"""Server(): requests that are no handshake, subprotocols, leftovers, and what the response says."""

import pytest

from simple_websocket import ConnectionClosed, ConnectionError, Server
from tests.support.peer import Peer, make_stream
from tests.support.wire import Head, accept_key, request
from tests.support.world import read_request


def refuse(world, data, **options):
    """Let the Server see a request; return what it raised, after checking that not a byte was written."""
    listener = world.listen()
    sock = world.dial(listener.address)
    peer = Peer(make_stream(world, sock), client=True)
    world.on_cleanup(peer.close)
    peer.stream.write(data)
    server_sock = world.server_socket(listener.accept())
    world.on_cleanup(server_sock.close)
    head = read_request(server_sock)
    with pytest.raises(ConnectionError) as error:
        Server.accept(head.environ(), sock=server_sock, **options, **world.options)
    # The application can still answer.
    server_sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    server_sock.close()
    assert peer.stream.read().startswith(b"HTTP/1.1 400 Bad Request")
    return error.value


@pytest.mark.parametrize(
    "old, new",
    [
        (b"GET ", b"POST "),
        (b"Upgrade: websocket\r\n", b""),
        (b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n"),
        (b"Connection: Upgrade\r\n", b""),
        (b"Connection: Upgrade\r\n", b"Connection: close\r\n"),
        (b"Sec-WebSocket-Key:", b"X-Key:"),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"dG9vIHNob3J0"),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"!"),
        (b"Sec-WebSocket-Version: 13\r\n", b""),
    ],
)
def test_requests_that_are_no_handshake(world, old, new):
    good = request("example.org", key="dGhlIHNhbXBsZSBub25jZQ==")
    assert old in good
    error = refuse(world, good.replace(old, new))
    assert error.status_code in (400, 426)
    assert error.status_code == 400 or b"Version" in old


def test_another_version(world):
    error = refuse(world, request("example.org").replace(b"Version: 13", b"Version: 8"))
    assert error.status_code == 426
    assert ("sec-websocket-version", "13") in [(name.lower(), value) for name, value in error.headers]


def test_an_ordinary_request(world):
    assert refuse(world, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n").status_code == 400


def test_an_environ_without_a_socket_says_what_works(world):
    environ = Head(request("example.org")).environ()
    with pytest.raises(ConnectionError) as error:
        Server.accept(environ, **world.options)
    assert error.value.status_code == 500
    assert "sock=" in str(error.value) and "gunicorn" in str(error.value)


def test_the_response(world):
    ws, peer = world.open("server")
    assert peer.head.status == 101
    names = [name.lower() for name, _ in peer.head.pairs]
    assert sorted(names) == ["connection", "sec-websocket-accept", "upgrade"]
    key = ws.environ["HTTP_SEC_WEBSOCKET_KEY"]
    assert peer.head.headers["sec-websocket-accept"] == accept_key(key)


@pytest.mark.parametrize(
    "supported, asked, chosen",
    [
        (None, "one, two", None),
        (["two"], "one, two", "two"),
        (["two", "one"], "one, two", "one"),  # the client's order counts
        ("two", "one, two", "two"),
        (["three"], "one, two", None),
        (["one"], None, None),
    ],
)
def test_subprotocols_of_a_server(world, supported, asked, chosen):
    headers = () if asked is None else (f"Sec-WebSocket-Protocol: {asked}",)
    ws, peer = world.open("server", headers=headers, subprotocols=supported)
    assert ws.subprotocol == chosen
    assert peer.head.headers.get("sec-websocket-protocol") == chosen


def test_subprotocols_between_the_two_of_ours(world):
    client, server = world.pair(client={"subprotocols": ["a", "b"]}, server={"subprotocols": ["b", "c"]})
    assert client.subprotocol == server.subprotocol == "b"


class Choosy(Server):
    seen = None

    def choose_subprotocol(self, request):
        type(self).seen = request
        return request.subprotocols[-1]


def test_choose_subprotocol_can_be_overridden(world):
    listener = world.listen()
    task = world.spawn(lambda: world.accept(listener, False, {"subprotocols": ["a"]}, Choosy))
    client = world.connect(listener.url(path="/room?n=1"), subprotocols=["a", "b"])
    server = task.result()
    assert isinstance(server, Choosy)
    assert client.subprotocol == server.subprotocol == "b"
    assert Choosy.seen.target == "/room?n=1" and Choosy.seen.subprotocols == ["a", "b"]
    client.send("hello")
    assert server.receive(5) == "hello"


class Inventive(Server):
    def choose_subprotocol(self, request):
        return "nobody-asked"


def test_a_subprotocol_that_nobody_asked_for_is_refused_before_a_byte_is_written(world):
    listener = world.listen()
    sock = world.dial(listener.address)
    world.on_cleanup(sock.close)
    stream = make_stream(world, sock)
    stream.write(request("example.org"))
    server_sock = world.server_socket(listener.accept())
    world.on_cleanup(server_sock.close)
    head = read_request(server_sock)
    with pytest.raises(ValueError):
        Inventive.accept(head.environ(), sock=server_sock, **world.options)
    with pytest.raises(TimeoutError):
        stream.read(timeout=0.05)


def test_a_client_that_has_gone_already(world):
    listener = world.listen()
    sock = world.dial(listener.address)
    stream = make_stream(world, sock)
    stream.write(request("example.org"))
    server_sock = world.server_socket(listener.accept())
    world.on_cleanup(server_sock.close)
    head = read_request(server_sock)
    stream.reset()
    ws = Server.accept(head.environ(), sock=server_sock, **world.options)
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert error.value.reason == 1006
    ws.close()


def test_a_class_of_ones_own_can_be_accepted_directly(world):
    """Flask-Sock constructs the class itself."""
    listener = world.listen()
    task = world.spawn(lambda: world.accept(listener, False, {}, _Direct))
    client = world.connect(listener.url())
    server = task.result()
    client.send("hello")
    assert server.receive(5) == "hello"


class _Direct:
    """Constructs a Server without accept()."""

    @staticmethod
    def accept(environ, **options):
        return Server(environ, **options)


def test_a_server_never_closes_the_socket_it_was_given(world):
    ws, peer = world.open("server")
    sock = ws._link.sock
    peer.send_close(1000)
    with pytest.raises(ConnectionClosed):
        ws.receive(5)
    ws.close()
    assert sock.fileno() >= 0
    peer.expect_close()
    peer.expect_end()
