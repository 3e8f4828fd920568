"""Small messages that go straight to the socket, in C: what is sent, what is left to asyncio's transport, and in which order."""

import random
import socket

import pytest

from simple_websocket import aiooutbound
from simple_websocket.protocol.frames import BINARY, TEXT, encode

from .peer import Inflating
from .stage import every_kind, task, until

SIZES = [0, 1, 125, 126, 2000, 2042, 2043, 2044, 2045, 2048, 4000, 65535, 65536]
KEYS = {"server": b"", "client": b"\x81\x02\xfe\x7f"}

send_message = aiooutbound.send_message
built = pytest.mark.skipif(send_message is None, reason="not built here")
pytestmark = built


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def read(sock, size):
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("kind", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("size", SIZES)
def test_the_frame_is_the_encoders(pair, monkeypatch, size, kind, key):
    ours, theirs = pair
    payload = random.Random(size).randbytes(size)
    if kind == TEXT:
        payload = bytes(byte & 0x7F for byte in payload)
    monkeypatch.setattr("simple_websocket.protocol.frames.new_key", lambda: key)
    expected = encode(kind, payload, bool(key))
    rest = send_message(ours, payload.decode() if kind == TEXT else payload, key)
    if key and len(expected) > 2048:
        assert rest is None  # masking needs memory of its own
        rest = expected
    sent = read(theirs, len(expected) - len(rest))
    assert sent + rest == expected


def test_what_the_socket_does_not_take_is_returned(pair):
    """Wherever it stops: in the header, in the payload, before the first byte."""
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sizes = random.Random(3)
    expected, sent, stops = b"", 0, set()
    for number in range(3000):
        message = bytes([number & 0xFF]) * sizes.choice([1, 100, 3000, 50_000])
        frame = encode(BINARY, message, False)
        rest = send_message(ours, message, b"")
        stops.add("nothing" if rest is None else "all" if not rest else "part")
        expected += frame if rest is None else frame[: len(frame) - len(rest)] + rest
        sent += 0 if rest is None else len(frame) - len(rest)
        if rest is None or rest:
            assert read(theirs, sent) == expected[:sent]
            left = expected[sent:]
            while left:
                done = ours.send(left[:1000])
                assert read(theirs, done) == left[:done]
                left = left[done:]
            expected, sent = b"", 0
    assert stops >= {"all", "part"}


@pytest.mark.parametrize("what", ["é", "x" * 65537, b"x" * 65537, bytearray(b"x"), memoryview(b"x"), 1, None], ids=repr)
def test_what_it_refuses(pair, what):
    ours, theirs = pair
    assert send_message(ours, what, b"") is None
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


def test_a_socket_that_takes_nothing(pair):
    ours, theirs = pair
    while send_message(ours, b"x" * 1000, b"") is not None:
        pass
    theirs.close()
    assert send_message(ours, b"x", b"") is None


def test_a_socket_that_somebody_has_closed(pair):
    """Its number is somebody else's by now."""
    ours, theirs = pair
    number = ours.fileno()
    ours.close()
    one, other = socket.socketpair()
    with one, other:
        assert number in (one.fileno(), other.fileno())
        assert send_message(ours, b"x", b"") is None
        for end in (one, other):
            end.setblocking(False)
            with pytest.raises(BlockingIOError):
                end.recv(1)


@pytest.mark.parametrize(
    "arguments", [(), (1,), (1, b""), (1, b"", b"key"), (1, b"", "text"), ("1", b"", b""), (object(), b"", b"")]
)
def test_wrong_arguments(arguments):
    with pytest.raises(TypeError):
        send_message(*arguments)


@every_kind
@pytest.mark.parametrize("compression", [False, True], ids=["plain", "deflate"])
async def test_small_messages_stay_in_order_when_the_peer_is_slow(stage, kind, compression):
    """They go straight, then behind what the transport keeps, and straight again when that has gone."""
    offer = ("Sec-WebSocket-Extensions: permessage-deflate",) if compression else ()
    ws, peer = await stage.pair(kind, offer, compression=compression)
    inflating = Inflating()
    noise = random.Random(5)
    messages = [noise.randbytes(2000 if number % 10 else 20) for number in range(6000)]

    async def send():
        for message in messages:
            await ws.send(message)

    for _ in range(2):
        sending = task(send())
        await until(lambda sending=sending: sending.done() or not ws._link._outbound.writable)
        assert not sending.done(), "the peer's system has taken it all"
        for message in messages:
            assert inflating.message(await peer.next_frame()) == message
        await sending


async def test_which_connections_go_straight(stage, loop_kind):
    """Those over TCP on asyncio's own event loop; neither TLS nor uvloop."""
    for kind in ("sock", "aiohttp", "aiohttp-tls", "client", "client-tls"):
        ws, peer = await stage.pair(kind)
        await ws.send("hello")
        assert await peer.receive() == "hello"
        assert ws._link._outbound._straight is (loop_kind == "asyncio" and not kind.endswith("-tls"))
        await ws.ping()
        assert ws._link._outbound._straight is False  # a frame that was given to the transport may wait there
        await ws.send("again")
