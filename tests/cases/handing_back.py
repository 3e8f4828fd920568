"""The web server's own socket object, as Werkzeug's environ names it: what happens when the server uses it again."""

import gc
from contextlib import suppress

import pytest

from simple_websocket import ConnectionClosed, Server
from tests.cases.marks import plain_and_tls
from tests.support import leaks
from tests.support.peer import Peer, make_stream
from tests.support.world import certificate, client_context, read_request

ANSWER = b"HTTP/1.1 200 OK\r\n\r\nnot for a WebSocket"


def opened(world, tls=False, make=None, **options):
    """A Server on the server's own socket, that socket, and the peer."""
    listener = world.listen()

    def accept():
        sock = listener.accept()
        sock = world.server_tls(sock, certificate()) if tls else world.server_socket(sock)
        sock = sock if make is None else make(sock)
        world.on_cleanup(sock.close)
        environ = {**read_request(sock).environ(), "werkzeug.socket": sock}
        return Server.accept(environ, **{**world.options, **options}), sock

    made = []
    accepting = world.spawn(lambda: made.extend(accept()))
    stream = make_stream(world, world.dial(listener.address), client_context() if tls else None, "127.0.0.1")
    peer = Peer(stream, client=True)
    world.on_cleanup(peer.close)
    assert peer.ask(listener.authority).status == 101
    accepting.result()
    ws, sock = made
    made.clear()
    return ws, sock, peer  # nobody else holds the Server


def answer_close(peer):
    """As `Peer.answer_close`, of a server that may end TCP at the same moment."""
    close = peer.expect_close()
    with suppress(OSError):
        peer.send_close(close.code)
    peer.expect_end()
    return close.code


def use(sock, name="sendall", *arguments):
    try:
        getattr(sock, name)(*(arguments or (ANSWER,)))
    except (OSError, ValueError):
        pass  # there is no connection any more


@plain_and_tls
@pytest.mark.parametrize("elsewhere", [False, True], ids=["handler", "elsewhere"])
def test_the_servers_next_use_of_its_socket_ends_the_websocket(world, tls, elsewhere):
    ws, sock, peer = opened(world, tls)
    ws.send("first")
    assert ws.mode == "werkzeug"
    answering = world.spawn(lambda: (peer.receive(), answer_close(peer)))
    if elsewhere and world.name == "threading":
        world.spawn(use, sock).wait()  # a thread of the server's own, that serves others too
    else:
        use(sock)
    assert answering.result() == ("first", 1001)
    assert not ws.connected
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(1)
    assert error.value.reason == 1001


def test_a_server_that_answers_with_an_error_says_1011(world):
    ws, sock, peer = opened(world)
    answering = world.spawn(answer_close, peer)
    use(sock, "sendall", b"HTTP/1.1 500 Internal Server Error\r\n\r\n")
    assert answering.result() == 1011
    assert not ws.connected


def test_methods_that_the_server_has_bound_before_work_once_it_is_over(world):
    ws, sock, peer = opened(world)
    send, recv = sock.sendall, sock.recv
    answering = world.spawn(answer_close, peer)
    for method, argument in ((send, ANSWER), (send, ANSWER), (recv, 100)):
        try:
            assert not method(argument)
        except (OSError, ValueError):
            pass
    assert answering.result() == 1001
    assert not ws.connected


def test_a_socket_whose_websocket_is_forgotten_is_the_servers_again(world):
    seen = []
    ws, sock, peer = opened(world, make=lambda sock: seen.append(type(sock)) or sock)
    assert type(sock) is not seen[0]
    answering = world.spawn(answer_close, peer)
    del ws
    gc.collect()
    assert answering.result() == 1001
    world.until(lambda: not leaks.keepers(), what="the end of the keeper")
    gc.collect()
    use(sock)
    assert type(sock) is seen[0]


def no_subclasses(cls):
    raise TypeError("no subclasses")


def test_a_socket_whose_class_cannot_be_exchanged_stays_as_it_is(world):
    kind = None

    def seal(sock):
        nonlocal kind
        kind = type("Sealed", (type(sock),), {"__slots__": (), "__init_subclass__": classmethod(no_subclasses)})
        sock.__class__ = kind
        return sock

    ws, sock, peer = opened(world, make=seal)
    assert type(sock) is kind
    peer.send("hello")
    assert ws.receive(5) == "hello"
    answering = world.spawn(answer_close, peer)
    ws.close(4000)
    assert answering.result() == 4000
