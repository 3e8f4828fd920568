"""Nothing is left: no descriptor, thread or greenlet, whatever became of the connections."""

import gc
import signal

import pytest

from simple_websocket import Client, ConnectionClosed, ConnectionError, Server
from tests.cases.marks import one_tls_one_plain, plain_and_tls
from tests.support import leaks
from tests.support.peer import Peer, make_stream
from tests.support.wire import CLOSE
from tests.support.world import Process, client_context, read_request


class Before:
    """What there was, to be compared with what is left."""

    def __init__(self, world):
        self._world = world
        world.until(lambda: not leaks.keepers())
        self._fds, self._threads, self._greenlets = set(leaks.descriptors()), leaks.threads(), len(leaks.greenlets())

    def assert_nothing_is_left(self):
        until = self._world.until
        until(lambda: not leaks.keepers(), 4, "the keeper's end")
        until(lambda: set(leaks.descriptors()) <= self._fds, 4, f"descriptors: {leaks.descriptors()}")
        until(lambda: leaks.threads() <= self._threads, 4, "the end of threads")
        until(lambda: len(leaks.greenlets()) <= self._greenlets, 4, "the end of greenlets")


def echo(ws):
    for message in ws:
        ws.send(message)


@plain_and_tls
def test_nothing_is_left_after_200_connections(world, tls):
    before = Before(world)
    count = 200 if not tls else 50
    with world.serving(echo, tls) as url:
        for number in range(count):
            ws = world.connect(url, tls)
            if number % 2:
                ws.send(str(number))
                assert ws.receive(5) == str(number)
            ws.close()
    before.assert_nothing_is_left()


def test_nothing_is_left_after_connections_that_were_adopted(world):
    before = Before(world)
    with world.serving(echo) as url:
        connections = [world.connect(url) for _ in range(10)]
        world.sleep(0.6)
        for ws in connections:
            ws.close()
    before.assert_nothing_is_left()


def test_nothing_is_left_after_rejected_handshakes(world):
    before = Before(world)
    listener = world.listen()
    answers = [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        None,
    ]

    def serve():
        for answer in answers * 3:
            peer = Peer(make_stream(world, listener.accept()), client=False)
            peer.read_head()
            if answer is None:
                assert peer.stream.read() == b""
            else:
                peer.stream.write(answer)
            peer.close()

    serving = world.spawn(serve)
    for _ in range(3 * len(answers)):
        with pytest.raises(ConnectionError):
            Client.connect(listener.url(), open_timeout=0.3, **world.options)
    serving.result()
    listener.close()
    before.assert_nothing_is_left()


def test_nothing_is_left_after_failed_connects(world):
    before = Before(world)
    listener = world.listen()
    listener.close()
    for _ in range(20):
        with pytest.raises(ConnectionRefusedError):
            Client.connect(listener.url(), **world.options)
    before.assert_nothing_is_left()


@one_tls_one_plain
def test_nothing_is_left_after_every_kind_of_end(world, side, tls):
    before = Before(world)
    for end in ("reset", "fin", "violation", "peer closes", "we close", "nobody reads"):
        ws, peer = world.open(side, tls, close_timeout=0.3)
        receiving = world.spawn(ws.receive) if end != "nobody reads" else None
        if end == "reset" or end == "nobody reads":
            peer.stream.reset()
        elif end == "fin":
            peer.stream.fin()
        elif end == "violation":
            peer.send_frame(3)
        elif end == "peer closes":
            peer.send_close()
            peer.hang_up()
        else:
            ws.close()
        if receiving is None:
            world.until(lambda ws=ws: not ws.connected)
        else:
            with pytest.raises(ConnectionClosed):
                receiving.result(5)
        if side == "client" and end != "we close":
            # The descriptor goes without a close() of the application's.
            world.until(lambda ws=ws: ws._link.sock.fileno() == -1, 3, f"the end of the descriptor after: {end}")
    del ws, peer, receiving
    world.clean_up()
    before.assert_nothing_is_left()


@plain_and_tls
def test_a_connection_that_is_dropped_is_ended_and_the_peer_told(world, tls):
    before = Before(world)
    listener = world.listen()
    task = world.spawn(world.accept, listener, tls, {})
    options = {"ssl_context": client_context()} if tls else {}
    ws = Client.connect(listener.url(tls), **options, **world.options)
    server = task.result()
    receiving = world.spawn(server.receive)
    del ws
    gc.collect()
    with pytest.raises(ConnectionClosed) as error:
        receiving.result(5)
    assert error.value.reason == 1001
    del task, server, receiving, error
    world.clean_up()
    before.assert_nothing_is_left()


def test_dropping_an_adopted_connection(world):
    before = Before(world)
    listener = world.listen()
    accepting = world.spawn(lambda: [world.accept(listener, False, {}) for _ in range(3)])
    connections = [Client.connect(listener.url(), **world.options) for _ in range(3)]
    servers = accepting.result()
    world.sleep(0.7)
    connections.clear()
    gc.collect()
    for server in servers:
        world.until(lambda server=server: not server.connected, 3)
    assert {server.close_reason for server in servers} == {1001}
    accepting.value = None
    servers.clear()
    world.clean_up()
    before.assert_nothing_is_left()


def test_a_dropped_server_tells_its_peer(world):
    listener = world.listen()
    sock = world.dial(listener.address)
    peer = Peer(make_stream(world, sock), client=True)
    world.on_cleanup(peer.close)

    def accept():
        server_sock = world.server_socket(listener.accept())
        world.on_cleanup(server_sock.close)
        Server.accept(read_request(server_sock).environ(), sock=server_sock, **world.options)

    task = world.spawn(accept)
    assert peer.ask(listener.authority).status == 101
    task.result()
    gc.collect()
    assert peer.expect(CLOSE, 3).code == 1001
    peer.expect_end()


OPEN_CLIENT = """
import sys
from simple_websocket import Client
ws = Client.connect(sys.argv[1], backend=sys.argv[2] or None, ping_interval=20)
ws.send("hello")
print(ws.receive(), flush=True)
if sys.argv[3] == "waiting":
    import threading
    from simple_websocket import ConnectionClosed
    def read():
        try:
            ws.receive()
        except ConnectionClosed as closed:
            assert closed.reason == 1001  # the end of the program
    threading.Thread(target=read, daemon=True).start()
elif sys.argv[3] == "adopted":
    import time
    time.sleep(0.7)
elif sys.argv[3] == "cycle":
    ws.me = ws
    del ws
"""


@pytest.mark.parametrize("state", ["idle", "adopted", "waiting", "cycle"])
def test_a_program_with_an_open_client_exits(world, state):
    if state == "waiting" and world.name != "threading" and not world.patched:
        state = "idle"  # a native thread must not use a greenlet's connection
    with world.serving(echo) as url:
        status, output, seconds = world.run(OPEN_CLIENT, url, world.options.get("backend", ""), state)
    assert (status, output.split("\n")[-2:]) == (0, ["hello", ""]), output
    assert seconds < 15


def test_a_connection_that_has_ended_makes_no_new_keeper(world):
    """There may be no more threads: the program that closes its connections may be about to end."""
    ws, peer = world.open("server")
    link = ws._link
    closing = world.spawn(ws.close)
    peer.answer_close()
    closing.result()
    world.until(lambda: not leaks.keepers())
    ws._go_away()
    link._call_keeper()
    link._keeper.forget(link)
    link._keeper._tell(link._keeper.let_go, link, link._keeper.backend.event_class())
    assert not leaks.keepers()


INTERRUPTED = """
import sys
from simple_websocket import Client
ws = Client.connect(sys.argv[1], backend=sys.argv[2] or None)
print("connected", flush=True)
try:
    with ws:
        ws.receive()
except KeyboardInterrupt:
    print("interrupted", ws.close_reason, flush=True)
"""


def test_ctrl_c_ends_a_program_that_receives(world):
    reasons = []

    def handler(ws):
        try:
            ws.receive()
        except ConnectionClosed as error:
            reasons.append(error.reason)

    with world.serving(handler) as url:
        with Process(world, world.preamble + INTERRUPTED, url, world.options.get("backend", "")) as process:
            world.until(lambda: "connected" in process.output(), 20)
            world.sleep(0.2)
            process.signal(signal.SIGINT)
            world.until(lambda: process.status is not None, 10)
            assert process.status == 0, process.output()
            assert "interrupted" in process.output()
    assert reasons == [1001]


def test_the_modules_of_other_families_are_not_imported(world, monkeypatch):
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)  # which would import greenlet
    code = "import sys, simple_websocket; print(sorted({'gevent', 'eventlet', 'greenlet'} & set(sys.modules)))"
    with Process(world, code) as process:
        assert process.line() == "[]"
