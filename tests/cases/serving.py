"""serve(): connections and their handlers."""

import pytest

from simple_websocket import ConnectionClosed, Server, serve
from tests.support.served import echo, peer_of, serving
from tests.support.wire import CLOSE, request

from .marks import plain_and_tls


@plain_and_tls
def test_serve_echoes(world, tls):
    with serving(world, tls=tls) as server:
        clients = [world.connect(server.url, tls) for _ in range(3)]
        for size in (0, 1, 125, 70000, 3 * 1024 * 1024):
            for ws in clients:
                ws.send(bytes(size))
                assert ws.receive(20) == bytes(size)
        assert server.connections == 3
        for ws in clients:
            ws.close()
            assert ws.close_reason == 1000
        world.until(lambda: server.connections == 0)


@plain_and_tls
def test_serve_takes_frames_that_came_with_the_request(world, tls):
    with serving(world, tls=tls) as server:
        peer = peer_of(world, server, tls)
        peer.ask("example.org", behind=peer.message("early") + peer.message("x" * 6000))
        assert peer.receive() == "early"
        assert peer.receive() == "x" * 6000


def test_serve_takes_a_request_in_pieces(world):
    with serving(world) as server:
        peer = peer_of(world, server)
        data = request("example.org") + peer.message("hello")
        for at in range(len(data)):
            peer.stream.write(data[at : at + 1])
            if at % 40 == 0:
                world.sleep(0.001)
        assert peer.read_head().status == 101
        assert peer.receive() == "hello"


@plain_and_tls
def test_serve_closes_when_the_handler_returns(world, tls):
    with serving(world, lambda ws: ws.send("all"), tls=tls) as server:
        peer = peer_of(world, server, tls)
        peer.ask("example.org")
        assert peer.receive() == "all"
        assert peer.answer_close().code == 1000
        peer.expect_end(2)


class Oops(Exception):
    pass


def fail(ws):
    ws.send("about to fail")
    raise Oops("on purpose")


@plain_and_tls
def test_serve_closes_with_1011_when_the_handler_raises(world, tls, caplog):
    with serving(world, fail, tls=tls) as server:
        peer = peer_of(world, server, tls)
        peer.ask("example.org")
        assert peer.receive() == "about to fail"
        close = peer.answer_close()
        assert (close.code, close.reason) == (1011, "")
        peer.expect_end(2)
        world.until(lambda: server.connections == 0)
        ws = world.connect(server.url, tls)  # and the server goes on
        assert ws.receive(5) == "about to fail"
    [record, _] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.name == "simple_websocket" and "Oops: on purpose" in caplog.text


@pytest.mark.parametrize("end", ["close", "reset", "fin"])
def test_serve_says_nothing_about_clients_that_go(world, caplog, end):
    """Also where the handler does not care for ConnectionClosed."""

    def careless(ws):
        while True:
            ws.send(ws.receive())

    with serving(world, careless) as server:
        peer = peer_of(world, server)
        peer.ask("example.org")
        peer.send("hello")
        assert peer.receive() == "hello"
        if end == "close":
            peer.send_close(1000)
            assert peer.expect(CLOSE).code == 1000
            peer.expect_end(2)
        else:
            getattr(peer.stream, end)()
        world.until(lambda: server.connections == 0)
    assert not caplog.records


def test_a_lost_connection_that_is_not_the_handlers_own_is_a_failure(world, caplog):
    """A handler that talks to another server, and does not look after the end of that."""
    with serving(world, lambda ws: None) as other:

        def forward(ws):
            world.connect(other.url).receive(5)

        with serving(world, forward) as server:
            ws = world.connect(server.url)
            with pytest.raises(ConnectionClosed) as error:
                ws.receive(5)
            assert error.value.reason == 1011
    assert "ConnectionClosed" in caplog.text


def test_the_environ_of_a_served_request(world):
    seen = []
    with serving(world, lambda ws: seen.append(ws.environ)) as server:
        peer = peer_of(world, server)
        headers = ("Cookie: a=1", "Cookie: b=2", "X-Two: 1", "X-Two: 2", "X_Forwarded_For: me", "Content-Type: text/plain")
        peer.ask(f"127.0.0.1:{server.port}", "/caf%C3%A9/a%2Fb?x=%20y", headers)
        peer.answer_close()
        port = str(peer.stream.sock.getsockname()[1])
    [environ] = seen
    expected = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/caf%C3%A9/a%2Fb?x=%20y",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/caf\u00c3\u00a9/a/b",
        "QUERY_STRING": "x=%20y",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": port,
        "HTTP_HOST": f"127.0.0.1:{server.port}",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_X_TWO": "1, 2",
        "CONTENT_TYPE": "text/plain",
        "wsgi.url_scheme": "http",
    }
    assert {key: environ[key] for key in expected} == expected
    assert "HTTP_X_FORWARDED_FOR" not in environ  # an underscore must not pass for a hyphen


class Last(Server):
    def choose_subprotocol(self, request):
        return request.subprotocols[-1]


def test_serve_passes_the_options_of_server_on(world):
    options = {"max_message_size": 10, "ping_interval": 0.1, "compression": False, "server_class": Last}
    with serving(world, lambda ws: [ws.send(type(ws).__name__), *ws], subprotocols=["a", "b"], **options) as server:
        ws = world.connect(server.url, subprotocols=["a", "b"])
        assert (ws.subprotocol, ws.receive(5)) == ("b", "Last")
        peer = peer_of(world, server)
        head = peer.ask("example.org", headers=("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: permessage-deflate"))
        assert head.status == 101 and "sec-websocket-extensions" not in head.headers
        assert peer.receive() == "Last"
        peer.expect(9)
        ws.send("x" * 11)
        with pytest.raises(ConnectionClosed) as error:
            ws.receive(5)
        assert error.value.reason == 1009


@pytest.mark.parametrize(
    "options, error",
    [
        ({"ping_intervall": 1}, TypeError),
        ({"environ": {}}, TypeError),
        ({"ping_interval": -1}, ValueError),
        ({"receive_bytes": 0}, ValueError),
        ({"max_connections": 0}, ValueError),
        ({"handshake_timeout": 0}, ValueError),
        ({"max_request_size": 0}, ValueError),
        ({"backend": "trio"}, ValueError),
        ({"path": "a", "sock": "b"}, ValueError),
    ],
)
def test_mistakes_in_the_arguments_of_serve_are_found_at_once(world, options, error):
    with pytest.raises(error):
        serve(echo, **{**world.options, **options})
