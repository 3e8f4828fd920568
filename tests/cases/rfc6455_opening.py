"""RFC 6455 section 4, case by case: the opening handshake of both sides; see ``tests/support/script_handshake.py``."""

import base64

import pytest

from simple_websocket import ConnectionError
from tests.support.peer import Peer, make_stream
from tests.support.script_handshake import CHOICES, REQUESTS, RESPONSES, request, response
from tests.support.wire import Head


def asked(world, data, **options):
    """Let a Server see a request; return (the connection or the error that it raised, the peer)."""
    listener = world.listen()
    peer = Peer(make_stream(world, world.dial(listener.address)), client=True)
    world.on_cleanup(peer.close)
    peer.stream.write(data)
    accepting = world.spawn(world.accept, listener, False, options)
    try:
        return accepting.result(), peer
    except ConnectionError as error:
        return error, peer


@pytest.mark.parametrize("changes, status", [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_rfc_6455_section_4_2_1_requests(world, changes, status):
    ws, peer = asked(world, request(changes))
    if status == 101:
        assert peer.read_head().status == 101
        peer.send("Hello")
        assert ws.receive(5) == "Hello"
        return
    assert isinstance(ws, ConnectionError) and ws.status_code == status
    if status == 426:  # section 4.4: say which versions there are
        assert ("sec-websocket-version", "13") in [(name.lower(), value) for name, value in ws.headers]
    with pytest.raises(TimeoutError):  # the application answers
        peer.stream.read(timeout=0.01)


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get"])
def test_rfc_6455_section_4_2_1_another_method(world, method):
    error, _ = asked(world, request({}, f"{method} /chat HTTP/1.1"))
    assert isinstance(error, ConnectionError) and error.status_code == 400


@pytest.mark.parametrize("changes, options, expected", [row[1:] for row in CHOICES], ids=[row[0] for row in CHOICES])
def test_rfc_6455_section_4_2_2_the_response(world, changes, options, expected):
    ws, peer = asked(world, request(changes), **options)
    head = peer.read_head()
    assert head.first.startswith("HTTP/1.1 101 ")
    for name, value in expected.items():
        found = [given for given_name, given in head.pairs if given_name.lower() == name.lower()]
        assert found == ([] if value is None else [value]) or [one.lower() for one in found] == [value]
    assert ws.subprotocol == head.headers.get("sec-websocket-protocol")


def test_rfc_6455_section_4_2_2_the_resource_name(world):
    ws, _ = asked(world, request({}, "GET /chat/room%201?a=b&c HTTP/1.1"))
    assert (ws.environ["PATH_INFO"], ws.environ["QUERY_STRING"]) == ("/chat/room%201", "a=b&c")


def answered(world, start, changes, options, behind=b"", newline=b"\r\n"):
    """Let a Client see a response; return (the connection or the error that it raised, the peer)."""
    listener = world.listen()

    def serve():
        peer = Peer(make_stream(world, listener.accept()), client=False)
        world.on_cleanup(peer.close)
        data = response(peer.read_head(), start, changes)
        peer.stream.write(data.replace(b"\r\n", newline) + behind)
        return peer

    serving = world.spawn(serve)
    try:
        return world.connect(listener.url(path="/chat?x=y"), **options), serving.result()
    except ConnectionError as error:
        return error, serving.result()


@pytest.mark.parametrize("start, changes, valid, options", [row[1:] for row in RESPONSES], ids=[row[0] for row in RESPONSES])
def test_rfc_6455_section_4_1_responses(world, start, changes, valid, options):
    ws, peer = answered(world, start, changes, options)
    if valid:
        assert ws.subprotocol == changes.get("Sec-WebSocket-Protocol")
        peer.send("Hello")
        assert ws.receive(5) == "Hello"
        return
    assert isinstance(ws, ConnectionError)
    status = start.split()[1] if " " in start else ""
    if start.startswith("HTTP/1.1") and status != "101":
        assert ws.status_code == int(status)
    peer.expect_end()  # it fails the WebSocket connection


def test_rfc_6455_section_4_1_frames_behind_a_response(world):
    frames = bytes.fromhex("810548656c6c6f") + bytes.fromhex("8900")
    ws, peer = answered(world, "HTTP/1.1 101 X", {}, {}, frames)
    assert ws.receive(5) == "Hello"
    ws.send("more")
    assert peer.receive() == "more"


def test_rfc_6455_section_4_1_a_response_without_an_end(world):
    ws, peer = answered(world, "HTTP/1.1 101 X", {"X-Long": "x" * 70_000}, {}, newline=b"\r\n ")
    assert isinstance(ws, ConnectionError)


@pytest.mark.parametrize("cut", [0, 5, 40, -1])
def test_rfc_6455_section_4_1_the_end_of_tcp_inside_a_response(world, cut):
    listener = world.listen()

    def serve():
        peer = Peer(make_stream(world, listener.accept()), client=False)
        world.on_cleanup(peer.close)
        peer.stream.write(response(peer.read_head(), "HTTP/1.1 101 X", {})[:cut])
        peer.stream.fin()

    serving = world.spawn(serve)
    with pytest.raises(ConnectionError):
        world.connect(listener.url())
    serving.result()


def test_rfc_6455_section_4_1_the_request(world):
    keys = set()
    for _ in range(3):
        ws, peer = world.open("client")
        keys.add(peer.head.headers["sec-websocket-key"])
    assert len(keys) == 3 and all(len(base64.b64decode(key, validate=True)) == 16 for key in keys)  # item 7: afresh, 16 bytes
    ws, peer = answered(
        world,
        "HTTP/1.1 101 X",
        {},
        {"headers": {"Origin": "http://example.com"}, "subprotocols": ["b", "a"], "compression": False},
    )
    head: Head = peer.head
    assert head.first == "GET /chat?x=y HTTP/1.1"  # items 2 and 3
    names = [name.lower() for name, _ in head.pairs]
    assert len(names) == len(set(names))
    assert head.headers["host"] == f"127.0.0.1:{peer.stream.sock.getsockname()[1]}"  # item 4: the port is not the default
    assert head.headers["upgrade"].lower() == "websocket"  # item 5
    assert head.headers["connection"].lower() == "upgrade"  # item 6
    assert head.headers["origin"] == "http://example.com"  # item 8
    assert head.headers["sec-websocket-version"] == "13"  # item 9
    assert head.headers["sec-websocket-protocol"] == "b, a"  # item 10: in order of preference
    assert "sec-websocket-extensions" not in head.headers  # item 11


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "ws:///path", "ws://127.0.0.1:99999/", "ws://127.0.0.1/#fragment", "127.0.0.1"]
)
def test_rfc_6455_section_3_urls_that_are_none(world, url):
    with pytest.raises(ValueError):
        world.connect(url)
