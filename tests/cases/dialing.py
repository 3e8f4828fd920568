"""Client(): URLs, addresses, headers, subprotocols, and every way in which connecting fails."""

import dataclasses
import socket

import pytest

from simple_websocket import Client, ConnectionError
from simple_websocket.backends import resolve
from tests.cases.marks import plain_and_tls
from tests.support.peer import Peer, make_stream
from tests.support.wire import accept_key
from tests.support.world import server_context


def accepting(world, listener, tls=False, headers=()):
    """Accept one connection in a task, and give its peer."""

    def serve():
        peer = Peer(make_stream(world, listener.accept(), server_context(world) if tls else None), client=False)
        world.on_cleanup(peer.close)
        peer.accept(headers)
        return peer

    return world.spawn(serve)


def answering(world, listener, *pieces, pause=0.0, then="close"):
    """Read one request in a task, write pieces of an answer, then "close", "reset" or "wait"."""

    def serve():
        peer = Peer(make_stream(world, listener.accept()), client=False)
        world.on_cleanup(peer.close)
        head = peer.read_head()
        for piece in pieces:
            peer.stream.write(piece(head) if callable(piece) else piece)
            world.sleep(pause)
        if then == "wait":
            assert peer.stream.read() == b""  # the client gives up
        elif then == "reset":
            peer.stream.reset()
        else:
            peer.close()
        return head

    return world.spawn(serve)


@plain_and_tls
@pytest.mark.parametrize(
    "path, target",
    [("", "/"), ("/", "/"), ("?a=b", "/?a=b"), ("/path/to?x=1&y=%20", "/path/to?x=1&y=%20")],
)
def test_target_and_host_header(world, tls, path, target):
    listener = world.listen()
    task = accepting(world, listener, tls)
    ws = world.connect(listener.url(tls, path), tls)
    peer = task.result()
    assert peer.head.target == target
    assert peer.head.headers["host"] == listener.authority  # with the port, which is not the default one
    peer.send("hello")
    assert ws.receive(5) == "hello"


def test_an_ipv6_address(world):
    try:
        listener = world.listen(socket.AF_INET6, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    task = accepting(world, listener)
    ws = world.connect(f"ws://[::1]:{listener.address[1]}")
    peer = task.result()
    assert peer.head.headers["host"] == f"[::1]:{listener.address[1]}"
    peer.send("hello")
    assert ws.receive(5) == "hello"


def test_a_name_and_credentials(world):
    listener = world.listen()
    task = accepting(world, listener)
    world.connect(f"ws://us%20er:p%40ss@localhost:{listener.address[1]}/")
    head = task.result().head
    assert head.headers["host"] == f"localhost:{listener.address[1]}"
    assert head.headers["authorization"] == "Basic dXMgZXI6cEBzcw=="


def test_every_address_of_a_name_is_tried(world):
    dead, live = world.listen(), world.listen()
    dead.close()
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead.address, live.address)]
    asked = []

    def getaddrinfo(host, port, *_):
        asked.append((host, port))
        return entries

    backend = dataclasses.replace(resolve(**world.options), getaddrinfo=getaddrinfo)
    task = accepting(world, live)
    ws = world.connect("ws://two.addresses.test:8765", backend=backend)
    peer = task.result()
    assert asked == [("two.addresses.test", 8765)]
    assert peer.head.headers["host"] == "two.addresses.test:8765"
    peer.send("found")
    assert ws.receive(5) == "found"


def test_an_address_that_does_not_answer_leaves_time_for_the_next(world):
    """A listener whose backlog is full drops what comes: connecting neither succeeds nor fails."""
    deaf, live = world.listen(backlog=0), world.listen()
    fillers = [world.make_socket() for _ in range(4)]
    for filler in fillers:
        world.on_cleanup(filler.close)
        filler.setblocking(False)
        filler.connect_ex(deaf.address)
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (deaf.address, live.address)]
    backend = dataclasses.replace(resolve(**world.options), getaddrinfo=lambda *_: entries)
    task = accepting(world, live)
    ws = world.connect("ws://name.test", backend=backend, open_timeout=2)
    task.result().send("found")
    assert ws.receive(5) == "found"


def test_nobody_listens(world):
    listener = world.listen()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        Client.connect(listener.url(), **world.options)


def test_a_name_that_does_not_exist(world):
    with pytest.raises(OSError):
        Client.connect("ws://no-such-host.invalid/", open_timeout=5, **world.options)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "127.0.0.1", "ws://", "ws:///path", "ws://127.0.0.1/#fragment", "ws://127.0.0.1:99999/"]
)
def test_what_is_no_websocket_url(world, url):
    with pytest.raises(ValueError):
        Client.connect(url, **world.options)


@pytest.mark.parametrize("given", [{"X-One": "1", "x-two": "zwei"}, [("X-One", "1"), ("x-two", "zwei")]])
def test_additional_headers(world, given):
    listener = world.listen()
    task = accepting(world, listener)
    world.connect(listener.url(), headers=given)
    head = task.result().head
    assert head.headers["x-one"] == "1" and head.headers["x-two"] == "zwei"
    assert head.headers["host"] == listener.authority


def test_a_host_header_of_ones_own_is_the_only_one(world):
    listener = world.listen()
    task = accepting(world, listener)
    world.connect(listener.url(), headers={"Host": "example.org"})
    assert [value for name, value in task.result().head.pairs if name.lower() == "host"] == ["example.org"]


@pytest.mark.parametrize("asked, line", [("one", "one"), (["one", "two"], "one, two"), (None, None), ([], None)])
def test_subprotocols(world, asked, line):
    listener = world.listen()
    task = accepting(world, listener, headers=() if line is None else ("Sec-WebSocket-Protocol: one",))
    ws = world.connect(listener.url(), subprotocols=asked)
    assert task.result().head.headers.get("sec-websocket-protocol") == line
    assert ws.subprotocol == (None if line is None else "one")


@pytest.mark.parametrize("extra", ["Sec-WebSocket-Protocol: three", "Sec-WebSocket-Extensions: permessage-bzip2"])
def test_what_was_not_asked_for_is_refused(world, extra):
    listener = world.listen()
    task = accepting(world, listener, headers=(extra,))
    with pytest.raises(ConnectionError):
        Client.connect(listener.url(), subprotocols=["one"], **world.options)
    task.result()


def test_a_rejection_with_a_body(world):
    listener = world.listen()
    task = answering(
        world,
        listener,
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 11\r\nX-Why: tired\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n",
        b"not ",
        b"for you",
        pause=0.05,
        then="wait",
    )
    with pytest.raises(ConnectionError) as error:
        Client.connect(listener.url(), **world.options)
    assert error.value.status_code == 403
    assert error.value.body == b"not for you"
    headers = [(name.lower(), value) for name, value in error.value.headers]
    assert ("x-why", "tired") in headers
    assert [value for name, value in headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert "403" in str(error.value)
    task.result()


@pytest.mark.parametrize(
    "status, answer, body",
    [
        (401, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", b""),
        (302, b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\nuntil the end", b"until the end"),
        (500, b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlong\r\n3\r\ner!\r\n0\r\n\r\n", b"longer!"),
        (200, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (503, b"HTTP/1.1 503 Busy\r\nContent-Length: 50\r\n\r\nshort", b"short"),
        (404, b"HTTP/1.0 404 Not Found\r\n\r\nold", b"old"),
    ],
)
def test_rejections(world, status, answer, body):
    listener = world.listen()
    task = answering(world, listener, answer)
    with pytest.raises(ConnectionError) as error:
        Client.connect(listener.url(), **world.options)
    assert error.value.status_code == status
    assert error.value.body == body
    task.result()


def accept_line(head):
    return f"Sec-WebSocket-Accept: {accept_key(head.headers['sec-websocket-key'])}\r\n\r\n".encode()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n"],
        [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"],
        [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n", accept_line],
        [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n", accept_line],
        [b"SSH-2.0-OpenSSH_9.6\r\n\r\n"],
        [b"\x15\x03\x01\x00\x02\x02\x28"],
        [b"HTTP/1.1 101 Sw"],
        [b""],
        [b"HTTP/1.1 101 X\r\n" + b"X-Pad: " + b"x" * 200_000],
    ],
    ids=["wrong key", "no key", "no upgrade", "no connection", "ssh", "tls alert", "cut", "nothing", "endless"],
)
def test_answers_that_are_no_handshake(world, pieces):
    listener = world.listen()
    task = answering(world, listener, *pieces)
    with pytest.raises(ConnectionError) as error:
        Client.connect(listener.url(), **world.options)
    assert error.value.status_code in (None, 101)
    task.wait()


def test_a_reset_during_the_handshake(world):
    listener = world.listen()
    task = answering(world, listener, b"HTTP/1.1 101", then="reset")
    with pytest.raises(ConnectionError) as error:
        Client.connect(listener.url(), **world.options)
    assert error.value.status_code is None
    task.result()


@plain_and_tls
def test_a_server_that_never_answers(world, tls):
    listener = world.listen()
    context = server_context(world) if tls else None

    def serve():
        peer = Peer(make_stream(world, listener.accept(), context), client=False)
        world.on_cleanup(peer.close)
        peer.read_head()
        try:
            return peer.stream.read()
        except OSError:
            return b""

    task = world.spawn(serve)
    started = world.clock()
    with pytest.raises(ConnectionError) as error:
        world.connect(listener.url(tls), tls, open_timeout=0.5)
    assert 0.4 < world.clock() - started < 3
    assert error.value.status_code is None and "time" in str(error.value)
    assert task.result() == b""


def test_a_server_that_answers_byte_by_byte_has_no_longer_than_the_timeout(world):
    listener = world.listen()

    def serve():
        peer = Peer(make_stream(world, listener.accept()), client=False)
        world.on_cleanup(peer.close)
        peer.read_head()
        for _ in range(200):
            try:
                peer.stream.write(b"x")
            except OSError:
                return
            world.sleep(0.05)

    world.spawn(serve)
    started = world.clock()
    with pytest.raises(ConnectionError):
        Client.connect(listener.url(), open_timeout=0.5, **world.options)
    assert 0.4 < world.clock() - started < 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"receive_bytes": 0},
        {"ping_interval": -1},
        {"close_timeout": -1},
        {"max_message_size": -1},
        {"max_unread_messages": 0},
        {"max_unread_bytes": 0},
        {"headers": {"Bad\r\nName": "x"}},
        {"backend": "twisted"},
    ],
)
def test_arguments_out_of_range(world, wrong):
    listener = world.listen()
    with pytest.raises(ValueError):
        Client.connect(listener.url(), **{**world.options, **wrong})
    with pytest.raises(TimeoutError):
        listener.accept(timeout=0.05)  # nothing was tried
