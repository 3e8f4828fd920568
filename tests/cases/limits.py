"""Limits: what a hostile peer can make a connection hold, and for how long.  Memory is measured, bounds are generous."""

import sys
import zlib
from time import process_time

import pytest

from simple_websocket import Client, ConnectionClosed, ConnectionError
from tests.cases.marks import both_sides, one_plain_one_tls, plain_and_tls
from tests.support.attacks import DEAREST_ECHO, FLOODED
from tests.support.memory import MIB, Growth
from tests.support.peer import Peer, make_stream
from tests.support.wire import BINARY, CONTINUATION, PING, PONG, TEXT
from tests.support.world import Process, client_context, server_context

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

DEFLATE = ("Sec-WebSocket-Extensions: permessage-deflate",)

# What the interpreter, the peer and the allocator take besides; what is tested for is a multiple of it.
SLACK = 16 * MIB


def deflated(data):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Flood:
    """A peer that writes the same bytes as fast as they are taken, and reads nothing, until it is stopped."""

    def __init__(self, world, peer, data):
        self._world, self._peer, self._data = world, peer, data
        self._stop = world.event()
        self.written = 0
        self._task = world.spawn(self._run)

    def _run(self):
        while not self._stop.is_set():
            try:
                self._peer.stream.write(self._data, 0.05)
                self.written += len(self._data)
            except TimeoutError:
                pass  # what was not taken is the first thing the next time
            except OSError:
                return

    def until_it_stalls(self):
        """Wait until nothing more is taken."""
        while True:
            before = self.written
            self._world.sleep(0.4)
            if self.written == before:
                return before

    def stop(self):
        self._stop.set()
        self._task.result()


# Control frames


@needs_proc
@pytest.mark.parametrize(
    "side, tls, receiving",
    [("client", False, True), ("server", True, False)],
    ids=["client-plain-received", "server-tls-adopted"],
)
def test_pings_faster_than_they_can_be_answered(world, side, tls, receiving):
    """The peer reads none of the pongs: they are not kept, but for a few, and it is answered again as soon as it reads."""
    ws, peer = world.open(side, tls)
    task = world.spawn(ws.receive) if receiving else None
    growth = Growth()
    flood = Flood(world, peer, peer.make(PING, b"!" * 125) * 1000)
    world.sleep(1.5)
    flood.stop()
    assert flood.written > 4 * MIB
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"
    assert ws.connected
    finishing = world.spawn(peer.stream.finish)
    pongs = 0
    while not finishing.finished or pongs < 10:
        assert peer.expect(PONG).payload == b"!" * 125
        pongs += 1
    finishing.result()
    peer.send_frame(PING, b"the last one")
    while peer.expect(PONG).payload != b"the last one":
        pass
    peer.send("and a message")
    assert (task.result(10) if task else ws.receive(10)) == "and a message"
    ws.send("back")
    assert peer.receive() == "back"


@both_sides
@pytest.mark.parametrize("what", ["pings", "pongs", "empty fragments"])
def test_a_timeout_holds_in_a_flood(world, side, what):
    """There is always something to read, and never a message."""
    ws, peer = world.open(side)
    if what == "empty fragments":
        peer.send_frame(TEXT, b"", fin=False)
    one = {
        "pings": peer.make(PING),
        "pongs": peer.make(PONG, b"nobody asked"),
        "empty fragments": peer.make(CONTINUATION, b"", fin=False),
    }[what]
    flood = Flood(world, peer, one * 20_000)
    try:
        for timeout in (0, 0.3):
            started = world.clock()
            task = world.spawn(ws.receive, timeout)
            assert task.result(10) is None
            assert timeout * 0.99 <= world.clock() - started < timeout + 2
    finally:
        flood.stop()
    assert ws.connected


@both_sides
@pytest.mark.parametrize("what", [PING, BINARY])
def test_close_is_bounded_in_a_flood(world, side, what):
    ws, peer = world.open(side, close_timeout=0.5)
    flood = Flood(world, peer, peer.make(what, b"x" * 100) * 1000)
    world.sleep(0.3)
    started = world.clock()
    ws.close()
    assert world.clock() - started < 4
    flood.stop()
    assert ws.close_reason == 1006


@pytest.mark.parametrize("name", ["pings-when-nobody-receives", "empty-fragments", "tiny-messages"])
def test_the_other_connections_go_on_in_a_flood(world, name):
    """From another process, so that the flood needs nobody's leave.  How fast they go on is measured by `make soak`.

    Who is not given a turn waits while this process works for the flood: that is what is measured here, in the time of the
    processor, and not for how long the machine was busy with something else, or stood still.
    """

    def serve(ws):
        if "nobody" in name:
            quiet.append(ws)
            ended.wait(60)
        else:
            echo(ws)
        ws.close()

    def echo(ws):
        try:
            for message in ws:
                ws.send(message)
        except ConnectionClosed:
            pass

    quiet, ended = [], world.event()
    with world.serving(echo) as calm, world.serving(serve, close_timeout=0.5) as url:
        ws = world.connect(calm)
        port = url.rstrip("/").rpartition(":")[2]
        code = "import sys; from tests.support.attacks import main; main(*sys.argv[1:])"
        dearest = 0.0
        with Process(world, code, name, port, str(FLOODED)) as attack:
            while attack.status is None:
                started = process_time()
                ws.send("x" * 64)
                assert ws.receive(30) == "x" * 64
                dearest = max(dearest, process_time() - started)
                world.sleep(0.01)
            assert '"bytes"' in attack.output(), attack.output()
        ended.set()
        assert dearest < DEAREST_ECHO, f"{dearest:.2f} s of processor time for one echo"
        ws.close()


# Messages


@needs_proc
@both_sides
@pytest.mark.parametrize("limit", [None, MIB], ids=["no limit", "limit"])
def test_a_header_that_lies(world, side, limit):
    """Announced are gigabytes, or just what is allowed; sent are a few bytes.  Only what arrives takes memory."""
    pairs = [world.open(side, max_message_size=limit, compression=False) for _ in range(20)]
    growth = Growth()
    size = 1 << 40 if limit is None else limit
    reading = []
    for ws, peer in pairs:
        header = bytes([0x82, 0x7F | (0x80 if peer.client else 0)]) + size.to_bytes(8, "big")
        peer.stream.write(header + bytes(4) * peer.client + b"a few")
        reading.append(world.spawn(ws.receive, 0.5))
    assert [task.result() for task in reading] == [None] * len(pairs)
    for _ in range(3):
        for _, peer in pairs:
            peer.stream.write(b"more")
        world.sleep(0.1)
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"
    assert all(ws.connected for ws, _ in pairs)


@needs_proc
@one_plain_one_tls
@pytest.mark.parametrize("opcode", [BINARY, TEXT])
def test_fragments_without_end(world, side, tls, opcode):
    ws, peer = world.open(side, tls, max_message_size=200_000)
    task = world.spawn(ws.receive)
    growth = Growth()
    peer.send_frame(opcode, b"", fin=False)
    flood = Flood(world, peer, peer.make(CONTINUATION, b"x", fin=False) * 10_000)
    with pytest.raises(ConnectionClosed) as error:
        task.result(20)
    assert error.value.reason == 1009
    flood.stop()
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"


@needs_proc
@both_sides
def test_a_compressed_message_that_is_too_big_inflates_no_further(world, side):
    ws, peer = world.open(side, headers=DEFLATE, max_message_size=MIB)
    bomb = peer.make(BINARY, deflated(bytes(256 * MIB)), rsv=0x40)
    answering = world.spawn(peer.answer_close)
    growth = Growth()
    peer.stream.write(bomb)
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(10)
    assert error.value.reason == 1009
    assert answering.result().code == 1009
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"


@both_sides
def test_a_compressed_message_of_nothing_but_final_blocks(world, side):
    """Each pair of bytes ends a deflate stream, and the next begins another: work without a result."""
    ws, peer = world.open(side, headers=DEFLATE, max_message_size=MIB)
    answering = world.spawn(peer.answer_close)
    started = world.clock()
    peer.stream.write(peer.make(BINARY, b"\x03\x00" * (MIB // 2), rsv=0x40))
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(30)
    assert error.value.reason in (1002, 1007, 1008, 1009)
    assert answering.result().code == error.value.reason
    assert world.clock() - started < 2


@both_sides
def test_a_few_final_blocks_are_fine(world, side):
    """RFC 7692 section 7.2.3.4 allows them."""
    ws, peer = world.open(side, headers=DEFLATE, max_message_size=MIB)
    final = zlib.compressobj(6, zlib.DEFLATED, -15)
    stream = final.compress(b"final") + final.flush(zlib.Z_FINISH)
    for _ in range(30):
        peer.stream.write(peer.make(BINARY, stream * 3 + b"\x00", rsv=0x40))
        assert ws.receive(5) == b"final" * 3


# Messages that nobody receives


@needs_proc
@both_sides
@pytest.mark.parametrize(
    "message",
    [b"x" * 1000, b"", "x" * 996 + "\U0001f409", "x" * (MIB - 4) + "\U0001f409"],
    ids=["bytes", "empty", "wide", "long"],
)
def test_messages_that_nobody_receives(world, side, message):
    """They stay with the peer; held is what was asked for, one message more at the most, four bytes for a wide character."""
    ws, peer = world.open(side, max_unread_messages=256, max_unread_bytes=MIB, max_message_size=MIB)
    one = peer.message(message)
    growth = Growth()
    flood = Flood(world, peer, one * max(1, 50_000 // len(one)))
    flood.until_it_stalls()
    flood.stop()
    bound = 4 * 2 * MIB if isinstance(message, str) else MIB
    assert growth.peak() < bound + SLACK, f"{growth.peak() / MIB:.1f} MiB"
    assert ws.connected
    if message:  # of the others there are too many under way
        finishing = world.spawn(peer.send, "after them all")
        while (got := ws.receive(10)) == message:
            pass
        assert got == "after them all"
        finishing.result()


# The opening handshake of a client


@needs_proc
@plain_and_tls
@pytest.mark.parametrize("what", ["one line", "many lines", "status line", "body", "chunked body", "before it"])
def test_an_answer_without_end(world, tls, what):
    """A client reads 64 KiB of a response's head, and of its body."""
    beginning, again = {
        "one line": (b"HTTP/1.1 101 Switching Protocols\r\nX: ", b"x" * 4096),
        "many lines": (b"HTTP/1.1 101 Switching Protocols\r\n", b"X: y\r\n" * 1000),
        "status line": (b"HTTP/1.1 101 ", b"x" * 4096),
        "body": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 4096),
        "chunked body": (b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nbody\r\n" * 500),
        "before it": (b"", b"\r\n" * 2000),
    }[what]
    listener = world.listen()
    sent = 0

    def serve():
        nonlocal sent
        peer = Peer(make_stream(world, listener.accept(), server_context(world) if tls else None), client=False)
        world.on_cleanup(peer.close)
        peer.read_head()
        try:
            peer.stream.write(beginning)
            while sent < 64 * MIB:
                peer.stream.write(again)
                sent += len(again)
        except OSError:
            pass

    serving = world.spawn(serve)
    growth = Growth()
    started = world.clock()
    options = {"ssl_context": client_context()} if tls else {}
    with pytest.raises(ConnectionError) as error:
        Client.connect(listener.url(tls), open_timeout=20, **options, **world.options)
    assert world.clock() - started < 10
    serving.result()
    assert sent < 32 * MIB  # what the kernel held is no more than this
    assert growth.peak() < SLACK, f"{growth.peak() / MIB:.1f} MiB"
    assert error.value.status_code == (403 if "body" in what else None)
    assert len(error.value.body or b"") <= 65536


@plain_and_tls
def test_a_rejection_whose_body_never_comes(world, tls):
    """The status is known, and is told."""
    listener = world.listen()

    def serve():
        peer = Peer(make_stream(world, listener.accept(), server_context(world) if tls else None), client=False)
        world.on_cleanup(peer.close)
        peer.read_head()
        peer.stream.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nhalf")
        assert peer.stream.read() == b""

    serving = world.spawn(serve)
    options = {"ssl_context": client_context()} if tls else {}
    started = world.clock()
    with pytest.raises(ConnectionError) as error:
        Client.connect(listener.url(tls), open_timeout=0.5, **options, **world.options)
    assert 0.4 < world.clock() - started < 5
    assert error.value.status_code == 503
    serving.result()


# Slow peers


@both_sides
def test_a_byte_now_and_then_keeps_a_connection_and_nothing_else(world, side):
    """It is a sign of life, whatever it says; a message takes as long as it takes."""
    ws, peer = world.open(side, ping_interval=0.2, ping_timeout=0.4)
    whole = peer.message("slow")
    for byte in whole[:-1]:
        assert ws.receive(0.1) is None
        peer.stream.write(bytes([byte]))
    assert ws.receive(0) is None
    assert ws.connected
    peer.stream.write(whole[-1:])
    assert ws.receive(5) == "slow"
