"""serve(): how it ends: stop(), the end of the block, Ctrl-C and SIGTERM in real processes."""

import signal

import pytest

from simple_websocket import ConnectionClosed, serve
from tests.support.served import Program, dial, echo, get, peer_of, read_all, serving
from tests.support.wire import CLOSE

from .marks import plain_and_tls


@plain_and_tls
def test_stopping_closes_with_1001_and_waits_for_the_handlers(world, tls):
    ended = []

    def handler(ws):
        try:
            while True:
                ws.send(ws.receive())
        except ConnectionClosed as closed:
            world.sleep(0.1)
            ended.append(int(closed.reason))

    with serving(world, handler, tls=tls) as server:
        clients = [world.connect(server.url, tls) for _ in range(20)]
        for ws in clients:
            ws.send("hello")
            assert ws.receive(5) == "hello"
        readers = [world.spawn(lambda ws=ws: [*ws, ws.close_reason]) for ws in clients]
        started = world.clock()
        assert server.stop(10) is True
        assert world.clock() - started < 2
        assert ended == [1001] * 20
        assert [reader.result() for reader in readers] == [[1001]] * 20
        assert server.stop() is True  # again
        server.serve_forever()  # returns
        with pytest.raises(OSError):
            world.connect(f"ws://127.0.0.1:{server.port}/", open_timeout=2)


def test_the_end_of_the_block_stops(world):
    with serve(echo, **world.options) as server:
        ws = world.connect(f"ws://127.0.0.1:{server.port}/")
        reader = world.spawn(lambda: [*ws, ws.close_reason])
    assert reader.result() == [1001]
    with pytest.raises(ZeroDivisionError):
        with serve(echo, **world.options) as server:
            ws = world.connect(f"ws://127.0.0.1:{server.port}/")
            reader = world.spawn(lambda: [*ws, ws.close_reason])
            raise ZeroDivisionError
    assert reader.result() == [1001]


def test_stopping_gives_a_peer_that_does_not_answer_a_second(world):
    with serving(world) as server:
        peer = peer_of(world, server)
        peer.ask("example.org")
        peer.send("hello")
        assert peer.receive() == "hello"
        started = world.clock()
        assert server.stop(10)
        assert 0.5 < world.clock() - started < 3
        assert peer.expect(CLOSE).code == 1001
        peer.expect_end(1)


def test_stopping_ends_those_without_a_request_at_once(world):
    with serving(world, tls=True) as secure, serving(world) as server:
        streams = [dial(world, server), dial(world, server)]
        streams[0].write(b"GET / HT")
        unfinished = world.dial(secure.address)
        world.on_cleanup(unfinished.close)
        world.until(lambda: (server.connections, secure.connections) == (2, 1))
        started = world.clock()
        assert server.stop(10) and secure.stop(10)
        assert world.clock() - started < 1
        for stream in streams:
            assert read_all(stream) == b""


def test_stopping_lets_a_response_end(world):
    begun, go = world.event(), world.event()

    def application(environ, start_response):
        begun.set()
        go.wait(5)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    with serving(world, http=application) as server:
        stream = dial(world, server)
        stream.write(get())
        begun.wait(5)
        stopping = world.spawn(server.stop, 10)
        world.sleep(0.2)
        assert not stopping.finished
        go.set()
        assert read_all(stream).endswith(b"\r\n\r\ndone")
        assert stopping.result() is True


def test_a_handler_may_stop_its_server(world):
    def handler(ws):
        assert ws.receive() == "stop"
        assert server.stop(timeout=0) is False
        with pytest.raises(ConnectionClosed) as error:
            ws.receive()
        results.append(error.value.reason)

    results = []
    with serving(world, handler) as server:
        forever = world.spawn(server.serve_forever)
        ws = world.connect(server.url)
        ws.send("stop")
        assert [*ws, ws.close_reason] == [1001]
        forever.result(5)
        assert results == [1001]


def test_stopping_does_not_wait_for_ever_for_a_handler(world, caplog):
    go, over = world.event(), []

    def handler(ws):
        go.wait(20)
        over.append(ws.connected)

    with serving(world, handler) as server:
        ws = world.connect(server.url)
        reader = world.spawn(lambda: [*ws, ws.close_reason])
        started = world.clock()
        assert server.stop(1.0) is False
        assert 0.9 < world.clock() - started < 3
        assert reader.result(5) == [1001]
        assert "1 of the handlers have not ended" in caplog.text
        go.set()
        world.until(lambda: over == [False])


def test_stopping_while_connections_come(world):
    """None is left in between: each is answered, refused or ended."""
    ended = []

    def come(url):
        try:
            while True:
                ws = world.connect(url, open_timeout=5)
                ws.send("x")
                ws.close()
        except (OSError, RuntimeError):
            return

    for _ in range(5):
        with serving(world, lambda ws: ended.append([*ws, ws.close_reason])) as server:
            enough = len(ended) + 5
            comers = [world.spawn(come, server.url) for _ in range(4)]
            world.until(lambda enough=enough: len(ended) >= enough)
            assert server.stop(10)
            for comer in comers:
                comer.result(10)


# Signals, in a process of their own

PROGRAM = r"""
import signal, sys, threading, time
from simple_websocket import serve, ConnectionClosed
options = {"backend": sys.argv[1]} if sys.argv[1] else {}
mode = sys.argv[2]

def handler(ws):
    ws.send("welcome")
    for message in ws:
        ws.send(message)
    sys.stdout.write(f"handler ended {int(ws.close_reason)}\n")  # in one piece
    if mode == "stuck":
        from simple_websocket.backends import resolve
        resolve(None, options.get("backend")).sleep(60)

def mine(*_):
    print("mine", flush=True)

if mode == "ignored":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, mine)
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

def tell():
    while signal.getsignal(signal.SIGTERM) == before[1]:  # serve_forever sets this one last
        time.sleep(0.005)
    print("port", server.port, flush=True)

with serve(handler, **options) as server:
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    threading.Thread(target=tell, daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("interrupted again", flush=True)
        sys.exit(7)
    finally:
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
print("the end", flush=True)
"""


def started(world, mode="plain"):
    program = Program(world, PROGRAM, mode)
    return program, program.url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_stops_serve_forever(world, number):
    process, url = started(world)
    clients = [world.connect(url) for _ in range(50)]
    for ws in clients:
        assert ws.receive(5) == "welcome"
    readers = [world.spawn(lambda ws=ws: [*ws, ws.close_reason]) for ws in clients]
    begun = world.clock()
    process.signal(number)
    assert [reader.result() for reader in readers] == [[1001]] * 50
    world.until(lambda: process.status is not None)
    assert world.clock() - begun < 4  # well under one second when the machine has nothing else to do
    lines = process.output().splitlines()
    assert (process.status, sorted(lines)) == (0, ["handler ended 1001"] * 50 + ["the end"]), process.output()


def test_a_signal_without_any_connection(world):
    process, _ = started(world)
    process.signal(signal.SIGTERM)
    world.until(lambda: process.status is not None, 2)
    assert process.output().splitlines() == ["the end"]


def test_a_second_signal_does_what_it_did_before(world):
    process, url = started(world, "stuck")
    ws = world.connect(url)
    assert ws.receive(5) == "welcome"
    process.signal(signal.SIGTERM)
    assert [*ws, ws.close_reason] == [1001]
    world.until(lambda: "handler ended" in process.output())
    process.signal(signal.SIGTERM)
    world.until(lambda: "mine" in process.output())
    begun = world.clock()
    process.signal(signal.SIGINT)
    world.until(lambda: process.status is not None)
    assert world.clock() - begun < 3  # and does not wait for the handler again
    assert process.status == 7 and "interrupted again" in process.output(), process.output()


def test_a_signal_that_is_ignored_stays_so(world):
    process, url = started(world, "ignored")
    ws = world.connect(url)
    assert ws.receive(5) == "welcome"
    process.signal(signal.SIGINT)
    ws.send("still here")
    assert ws.receive(5) == "still here"
    process.signal(signal.SIGTERM)
    assert [*ws, ws.close_reason] == [1001]
    world.until(lambda: process.status == 0)
