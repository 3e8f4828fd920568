"""serve(): faults of what it is given and of what surrounds it: addresses, threads, handlers, clients that do not read."""

import dataclasses
import signal
import socket
from contextlib import suppress

import pytest

from simple_websocket import Server, serve
from simple_websocket.backends import resolve
from tests.support.served import Program, ask, dial, echo, get, read_all, serving


def two_addresses(world, first="127.0.0.1", **changes):
    """A backend that finds two addresses for every name."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in (first, "127.0.0.2")]
    backend = resolve(**world.options)

    def getaddrinfo(host, port, *_):
        return [(*entry[:4], (entry[4][0], port)) for entry in found]

    return dataclasses.replace(backend, getaddrinfo=getaddrinfo, **changes)


def test_another_program_has_the_port_on_the_second_address(world):
    """With port 0 another port is tried."""
    rivals = []
    original = resolve(**world.options).socket

    class Raced(original):
        def bind(self, address):
            if address[0] == "127.0.0.2" and not rivals:
                rivals.append(world.listen(host=address[0], port=address[1]))
            super().bind(address)

    with serving(world, echo, "two.addresses.test", backend=two_addresses(world, socket=Raced)) as server:
        assert [address[0] for address in server.addresses] == ["127.0.0.1", "127.0.0.2"]
        assert {address[1] for address in server.addresses} == {server.port} != {rivals[0].address[1]}
        ws = world.connect(f"ws://127.0.0.2:{server.port}/")
        ws.send("hello")
        assert ws.receive(5) == "hello"


def test_an_address_that_is_in_use_leaves_none_of_the_others(world):
    free = "127.0.0.3"  # where no other test has a port, as it may have one of the same number on 127.0.0.1
    rival = world.listen(host="127.0.0.2")
    port = rival.address[1]
    with pytest.raises(OSError, match=f"127.0.0.2 port {port}"):
        serve(echo, "two.addresses.test", port, backend=two_addresses(world, free))
    with serving(world, echo, free, port):
        world.connect(f"ws://{free}:{port}/").close()


def test_numbers_that_are_none_leave_nothing(world, tmp_path):
    """The world looks for descriptors that are left."""
    with pytest.raises(OverflowError):
        serve(echo, None, 70_000, **world.options)
    with pytest.raises(TypeError):
        serve(echo, path=tmp_path / "socket", backlog="many", **world.options)
    with serving(world, path=tmp_path / "socket", http=bytearray(b"page")):  # what was left at the path is replaced
        pass


def test_a_server_with_the_familys_own_classes(world):
    classes = {name: getattr(world, name) for name in ("thread_class", "event_class", "selector_class")}
    with serving(world, http=bytearray(b"page"), **classes) as server:
        assert ask(world, server, get())[1] == b"page"
        for _ in range(3):
            ws = world.connect(server.url)
            ws.send("hello")
            assert ws.receive(5) == "hello"


def failing(base, error, *, spare, times):
    """A thread class whose start fails so many times, once some have been started."""
    started = []

    class Failing(base):
        def start(self):
            started.append(self)
            if spare < len(started) <= spare + times:
                raise error
            super().start()

    return Failing


def test_connections_wait_while_there_are_no_threads(world, caplog):
    kind = failing(world.thread_class, RuntimeError("can't start new thread"), spare=1, times=2)
    with serving(world, thread_class=kind) as server:
        for _ in range(2):
            with pytest.raises((OSError, AssertionError)):  # closed without an answer
                assert read_all(dial(world, server))
                raise OSError
        ws = world.connect(server.url)
        ws.send("hello")
        assert ws.receive(5) == "hello"
        assert server.connections == 1
    assert caplog.text.count("new connections have to wait: can't start new thread") == 1


def test_a_server_that_cannot_go_on_says_so_and_ends(world, caplog):
    kind = failing(world.thread_class, MemoryError("on purpose"), spare=1, times=1)
    with serving(world, thread_class=kind) as server:
        waiting = world.spawn(server.serve_forever)
        world.until(lambda: len(server._bells) == 2)  # it waits
        stream = dial(world, server)
        with pytest.raises((OSError, AssertionError)):
            assert read_all(stream)
            raise OSError
        waiting.wait(5)
        world.spawn(server.serve_forever).wait(5)  # later, too
    assert "takes in no connections any more" in caplog.text and "on purpose" in caplog.text


class Careless(Server):
    def close(self, *arguments, **options):
        super().close(*arguments, **options)
        raise KeyError("on purpose")


def test_a_connection_that_fails_at_its_end_harms_no_other(world, caplog):
    with serving(world, lambda ws: ws.send(ws.receive()), server_class=Careless) as server:
        for text in ("one", "two"):
            ws = world.connect(server.url)
            ws.send(text)
            assert ws.receive(5) == text
            ws.close()
        world.until(lambda: server.connections == 0)
    assert caplog.text.count("a connection failed") == 2


BIG = bytes(16 << 20)


def big(environ, start_response):
    start_response("200 OK", [("Content-Length", str(len(BIG)))])
    return [BIG]


@pytest.mark.parametrize("page", [BIG, big], ids=["page", "application"])
def test_a_client_that_does_not_read_its_page(world, caplog, page):
    with serving(world, http=page, handshake_timeout=0.5) as server:
        stream = dial(world, server)
        stream.write(get())
        world.until(lambda: server.connections == 1)
        world.until(lambda: server.connections == 0, 5)
        ws = world.connect(server.url)
        ws.send("and others do not suffer")
        assert ws.receive(5)
    assert not caplog.records


def test_a_client_that_never_stops_sending_its_request(world):
    """It may read the answer meanwhile, and is not listened to for ever."""
    with serving(world) as server:
        stream = dial(world, server)
        stream.write(get("/", "POST", "1.1", "Content-Length: 100000000"))

        def send():
            with suppress(OSError):
                for _ in range(100):
                    stream.write(bytes(1 << 20))
                return "all of it"

        assert world.spawn(send).result() is None
        world.until(lambda: server.connections == 0, 3)


def raises_later(environ, start_response):
    start_response("200 OK", [])(b"begun ")
    try:
        raise ValueError("on purpose")
    except ValueError as error:
        start_response("500 Oops", [], (type(error), error, error.__traceback__))


@pytest.mark.parametrize(
    "page, status, said", [(raises_later, 200, "on purpose"), (lambda *_: [b"page"], 500, "start_response was not called")]
)
def test_wsgi_applications_that_do_what_they_must_not(world, caplog, page, status, said):
    with serving(world, http=page) as server:
        head, body = ask(world, server, get(version="1.0"))
        assert head.status == status
        assert status == 500 or body == b"begun "
    assert said in caplog.text


LEAVING = """
import logging, os, sys
logging.basicConfig(format="LOG %(message)s")
try:
    from greenlet import GreenletExit
except ImportError:
    GreenletExit = SystemExit
from simple_websocket import serve
options = {"backend": sys.argv[1]} if sys.argv[1] else {}

def handler(ws):
    for message in ws:
        if message == "leave":
            raise SystemExit if sys.argv[2] == "threading" else GreenletExit
        ws.send(message)

with serve(handler, **options) as server:
    print("port", server.port, flush=True)
    server.serve_forever()
"""


def test_a_handler_whose_thread_is_being_ended(world):
    """sys.exit() in a thread, and the end of a greenlet that is killed: the client hears 1001, and nobody is told of a fault."""
    program = Program(world, LEAVING, world.name)
    stays = world.connect(program.url)
    ws = world.connect(program.url)
    ws.send("leave")
    assert [*ws] == [] and ws.close_reason == 1001
    stays.send("hello")
    assert stays.receive(5) == "hello"
    program.signal(signal.SIGTERM)
    world.until(lambda: program.status is not None)
    assert program.status == 0 and not program.output()
