"""serve(): what clients may take of it: time and size of the request, connections, and descriptors that run out."""

import errno
import signal
import socket

import pytest

from simple_websocket import ConnectionError
from tests.support.peer import make_stream
from tests.support.served import Program, ask, dial, get, peer_of, read_all, serving
from tests.support.wire import Head, request

from .marks import plain_and_tls


def request_of(size):
    """A good request with so many bytes."""
    data = request("example.org", headers=("X-Padding: ",))
    return data[:-4] + b"x" * (size - len(data)) + b"\r\n\r\n"


@plain_and_tls
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in-pieces"])
def test_serve_limits_the_size_of_a_request(world, tls, whole):
    with serving(world, tls=tls, max_request_size=5000) as server:
        peer = peer_of(world, server, tls)
        peer.stream.write(request_of(5000) + peer.message("behind") * 100)  # frames do not count
        assert peer.read_head().status == 101
        assert peer.receive() == "behind"
        for data in (request_of(5001), request_of(100_000), b"GET /" + b"x" * 100_000, b"x" * 5001):
            stream = dial(world, server, tls)
            for at in range(0, len(data), len(data) if whole else 1000):
                try:
                    stream.write(data[at : at + (len(data) if whole else 1000)])
                except (ConnectionResetError, BrokenPipeError):
                    break  # it has heard enough
            assert Head(read_all(stream).partition(b"\r\n\r\n")[0]).status == 431
            stream.close()


@plain_and_tls
def test_serve_limits_the_time_of_a_request(world, tls):
    with serving(world, tls=tls, handshake_timeout=1.0) as server:
        started = world.clock()
        silent, slow = dial(world, server, tls), dial(world, server, tls)
        peer = peer_of(world, server, tls)
        peer.ask("example.org")
        data = request("example.org")

        def trickle():
            for at in range(len(data)):  # it would take for ever
                try:
                    slow.write(data[at : at + 1])
                except OSError:
                    return
                world.sleep(0.1)

        world.spawn(trickle)
        assert read_all(silent) == b""  # it has asked for nothing
        assert b" 408 " in read_all(slow).partition(b"\r\n")[0]
        assert 0.9 < world.clock() - started < 4
        peer.send("but a WebSocket stays")
        assert peer.receive() == "but a WebSocket stays"


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["silent", "half", "http"])
def test_tls_handshakes_keep_nobody_else_waiting(world, caplog, data):
    with serving(world, tls=True, handshake_timeout=1.0) as server:
        started = world.clock()
        strangers = [make_stream(world, world.dial(server.address)) for _ in range(10)]
        for stream in strangers:
            world.on_cleanup(stream.close)
            stream.write(data)
        world.connect(server.url, True).close()
        assert world.clock() - started < 0.9
        for stream in strangers:
            try:
                read_all(stream)
            except OSError:
                pass
        assert world.clock() - started < 4
        world.until(lambda: server.connections == 0)
    assert not caplog.records


@plain_and_tls
def test_serve_refuses_connections_beyond_the_limit(world, tls):
    with serving(world, tls=tls, max_connections=2, http=b"page") as server:
        clients = [world.connect(server.url, tls) for _ in range(2)]
        for _ in range(3):
            with pytest.raises(ConnectionError) as error:
                world.connect(server.url, tls)
            assert error.value.status_code == 503
            assert ask(world, server, get(), tls)[0].status == 503
        assert server.connections == 2
        clients.pop().close()
        world.until(lambda: server.connections == 1)
        clients.append(world.connect(server.url, tls))
        for ws in clients:
            ws.send("hello")
            assert ws.receive(5) == "hello"


def test_connections_beyond_the_limit_cost_little(world):
    """Those that say nothing do not stay, and there are not many of them at a time."""
    with serving(world, max_connections=1, handshake_timeout=0.5) as server:
        ws = world.connect(server.url)
        streams = [dial(world, server) for _ in range(150)]
        started = world.clock()
        for stream in streams:
            try:
                assert read_all(stream) == b""
            except OSError:
                pass
        assert world.clock() - started < 5
        ws.send("hello")
        assert ws.receive(5) == "hello"


class Flaky:
    """Makes a listening socket's accept fail."""

    faults: list[int]

    def accept(self):
        if self.faults:
            number = self.faults.pop(0)
            raise OSError(number, "on purpose")
        return super().accept()


@pytest.mark.parametrize("name", ["ECONNABORTED", "EPROTO", "EPERM", "EINTR", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
def test_serve_survives_what_accept_may_raise(world, caplog, name):
    number = getattr(errno, name)
    kind = type(world.make_socket.__name__, (Flaky, world.make_socket), {})
    sock = kind()
    sock.faults = [number] * 3
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    with serving(world, sock=sock) as server:
        started = world.clock()
        ws = world.connect(server.url)
        ws.send("hello")
        assert ws.receive(5) == "hello"
        assert world.clock() - started < 5
    shortage = name.endswith("FILE") or name.startswith("ENO")
    assert len(caplog.records) == shortage  # once, not three times


def test_a_listening_socket_that_is_of_no_use_ends_the_server(world, caplog):
    sock = world.make_socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    with serving(world, sock=sock) as server:
        waiting = world.spawn(server.serve_forever)
        world.connect(server.url).close()
        sock.shutdown(socket.SHUT_RDWR)
        waiting.wait(5)
    assert "given up" in caplog.text


OUT_OF_DESCRIPTORS = """
import logging, os, resource, sys, time
logging.basicConfig(format="LOG %(message)s")
from simple_websocket import serve
options = {"backend": sys.argv[1]} if sys.argv[1] else {}

def handler(ws):
    for message in ws:
        ws.send(str(time.process_time()) if message == "cpu" else message)

with serve(handler, **options) as server:
    limit = max(map(int, os.listdir("/proc/self/fd"))) + 12
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    print("port", server.port, flush=True)
    server.serve_forever()
"""


def test_serve_goes_on_when_descriptors_run_out(world):
    program = Program(world, OUT_OF_DESCRIPTORS)
    first = world.connect(program.url)
    first.send("warm")
    first.receive(5)
    waiting = [world.spawn(lambda: world.connect(program.url, open_timeout=30)) for _ in range(30)]
    world.until(lambda: "LOG" in program.output())
    first.send("cpu")
    before = float(first.receive(5))
    world.sleep(1.5)
    first.send("cpu")
    assert float(first.receive(5)) - before < 0.5  # it does not try all the time
    closed = set()
    while len(closed) < len(waiting):
        for task in waiting:
            if task.finished and task not in closed:
                ws = task.result()
                ws.send("hello")
                assert ws.receive(5) == "hello"
                ws.close()
                closed.add(task)
        world.sleep(0.05)
    first.send("still here")
    assert first.receive(5) == "still here"
    program.signal(signal.SIGTERM)
    world.until(lambda: program.status is not None)
    assert program.status == 0
    assert program.output().count("LOG") == 1 and "Traceback" not in program.output(), program.output()
