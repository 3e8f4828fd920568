"""Faults of the network, of the system and of the application: a connection ends in order, or goes on as if nothing had been."""

import gc
import signal
import socket

import pytest

from simple_websocket import Client, ConnectionClosed, ConnectionError, Server
from tests.cases.marks import both_sides, one_plain_one_tls, plain_and_tls
from tests.support import leaks
from tests.support.dropping import CAN_DROP, drop_packets
from tests.support.wire import CLOSE, PING, TEXT, close_payload
from tests.support.world import Process, certificate, client_context, read_request

needs_dropping = pytest.mark.skipif(not CAN_DROP, reason="packets can be dropped on Linux only")

PROXY = "from tests.support import proxy; import sys; proxy.main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))"

# Nobody may wait for this long: what is cut has to be noticed at once.
CLOSE_TIMEOUT = 30
AT_ONCE = 5.0


class Conversations:
    """A server of ours behind the cutting proxy, and a client of ours in front of it.

    :param how: how the proxy cuts.
    :param step: bytes between two cuts.
    """

    def __init__(self, world, tls, how, step):
        self._world, self._tls = world, tls
        self._listener = world.listen()
        world.on_cleanup(self._listener.shutdown)
        self._serving = world.spawn(self._serve)
        self._proxy = Process(world, PROXY, str(self._listener.address[1]), how, str(step))
        world.on_cleanup(self._proxy.end)
        self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{self._proxy.line()}/"
        self.at_server = []  # one list of what happened for each connection that was accepted

    def count(self):
        """How many conversations there are to be cut, once the first one is over."""
        self._world.until(lambda: self._proxy.output().count("\n") == 2, what="the count of the proxy")
        return int(self._proxy.output().split()[1])

    def talk(self):
        """One conversation of the client; return what it has received and how it ended."""
        received = []
        options = {"ssl_context": client_context()} if self._tls else {}
        started = self._world.clock()
        try:
            ws = Client.connect(self.url, close_timeout=CLOSE_TIMEOUT, compression=False, **options, **self._world.options)
        except (ConnectionError, OSError) as error:
            end = error
        else:
            try:
                for message in ("one", b"two"):
                    ws.send(message)
                    received.append(ws.receive())
            except ConnectionClosed as error:
                assert error.reason == ws.close_reason == 1006
            ws.close()
            assert not ws.connected
            end = ws.close_reason
        assert self._world.clock() - started < AT_ONCE
        return received, end

    def _serve(self):
        while True:
            try:
                sock = self._listener.accept(timeout=600)
            except OSError:
                return
            self._answer(sock)

    def _answer(self, sock):
        happened = []
        started = self._world.clock()
        try:
            if self._tls:
                # In two steps, because a library's TLS may leave a socket unclosed whose handshake fails.
                if not (self._world.readable(sock, AT_ONCE) and sock.recv(1, socket.MSG_PEEK)):
                    raise ConnectionResetError
                sock = self._world.server_tls(sock, certificate(), do_handshake_on_connect=False)
                sock.do_handshake()
            else:
                sock = self._world.server_socket(sock)
            environ = read_request(sock).environ()
        except OSError:  # cut before there was anything for us to do
            sock.close()
            return
        try:
            ws = Server.accept(environ, sock=sock, close_timeout=CLOSE_TIMEOUT, **self._world.options)
            for message in ws:
                happened.append(message)
                try:
                    ws.send(message)
                except ConnectionClosed as error:
                    assert error.reason in (1000, 1006)
            happened.append(ws.close_reason)
            assert self._world.clock() - started < AT_ONCE
        except BaseException as error:
            happened.append(error)
        finally:
            self.at_server.append(happened)
            sock.close()

    def end(self):
        self._listener.shutdown()
        self._serving.result()
        self._proxy.end()


@pytest.mark.parametrize("how", ["fin", "rst"])
@plain_and_tls
def test_tcp_cut_at_every_byte(world, tls, how):
    """At every byte of what either side says; with TLS, whose handshakes take their time, at every 17th."""
    before = set(leaks.descriptors())
    conversations = Conversations(world, tls, how, 17 if tls else 1)
    assert conversations.talk() == (["one", b"two"], 1000)
    ends = []
    for _ in range(conversations.count()):
        received, end = conversations.talk()
        ends.append(end)
        assert received == ["one", b"two"][: len(received)]
        assert isinstance(end, (ConnectionError, OSError)) or end in (1000, 1006), end
    conversations.end()
    for happened in conversations.at_server:
        *messages, end = happened
        assert messages == ["one", b"two"][: len(messages)] and end in (1000, 1006), happened
    # Some were cut in the opening handshake, and some after it.
    assert sum(isinstance(end, ConnectionError) for end in ends) > (0 if tls else 10) and ends.count(1006) > (0 if tls else 20)
    if tls:
        assert any(not isinstance(end, (ConnectionError, int)) for end in ends)  # and in TLS's
    del ends
    gc.collect()
    world.until(lambda: len(leaks.descriptors()) <= len(before) + leaks.KEEPER_FDS, 5, f"{leaks.descriptors()}")


@needs_dropping
@one_plain_one_tls
@pytest.mark.parametrize("doing", ["receive", "send", "nothing"])
def test_a_half_open_peer_is_noticed_by_the_keepalive(world, side, tls, doing):
    ws, peer = world.open(side, tls, ping_interval=0.4, ping_timeout=0.4)
    ws.send("still there")
    assert peer.receive() == "still there"
    drop_packets(peer.stream.sock)
    started = world.clock()
    if doing == "nothing":
        world.until(lambda: not ws.connected, AT_ONCE)
    else:
        with pytest.raises(ConnectionClosed) as error:
            while True:
                ws.send(bytes(100_000)) if doing == "send" else ws.receive()
        assert error.value.reason == 1008
    assert 0.3 < world.clock() - started < AT_ONCE
    assert ws.close_reason == 1008


@needs_dropping
@one_plain_one_tls
def test_a_half_open_peer_is_not_waited_for(world, side, tls):
    """Without a keepalive nobody can know; timeouts hold all the same."""
    ws, peer = world.open(side, tls, close_timeout=0.5)
    drop_packets(peer.stream.sock)
    ws.send("into the dark")
    started = world.clock()
    assert ws.receive(0.3) is None
    assert 0.3 <= world.clock() - started < AT_ONCE
    assert ws.connected
    sending = world.spawn(ws.send, bytes(64 * 1024 * 1024))
    world.sleep(0.1)
    assert not sending.finished
    started = world.clock()
    ws.close()
    assert world.clock() - started < AT_ONCE
    with pytest.raises(ConnectionClosed):
        sending.result(AT_ONCE)
    assert ws.close_reason == 1006


@plain_and_tls
def test_signals_all_the_time(world, tls):
    """Each system call may be interrupted; none may fail, lose or repeat anything for it (EINTR)."""
    client, server = world.pair(
        tls, server={"ping_interval": 0.1, "ping_timeout": 10}, client={"ping_interval": 0.1, "ping_timeout": 10}
    )
    hits = 0

    def hit(*_):
        nonlocal hits
        hits += 1

    def echo():
        for message in server:
            server.send(message)

    echoing = world.spawn(echo)
    handler = signal.signal(signal.SIGALRM, hit)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        until = world.clock() + 1.0
        number = 0
        while world.clock() < until:
            number += 1
            message = f"{number} " * (number * 37 % 4000 + 1)
            client.send(message)
            assert client.receive(10) == message
        assert client.receive(0.2) is None  # nothing was said twice
        with world.serving(list, tls) as url:
            for _ in range(5):
                world.connect(url, tls).close()
        client.close()
        echoing.result()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert hits > 100 and number > 10
    assert client.close_reason == server.close_reason == 1000


@both_sides
def test_a_peer_that_closes_twice(world, side):
    ws, peer = world.open(side)
    twice = peer.make(CLOSE, close_payload(4001, "first")) + peer.make(CLOSE, close_payload(4002, "second"))
    peer.stream.write(peer.message("before") + twice + peer.message("after") + peer.make(PING, b"?"))
    assert ws.receive(5) == "before"
    for _ in range(2):
        with pytest.raises(ConnectionClosed) as error:
            ws.receive(5)
        assert (error.value.reason, error.value.message) == (4001, "first")
    assert peer.expect(CLOSE).code == 4001  # and nothing behind it
    peer.hang_up()
    peer.expect_end()


@both_sides
def test_a_peer_that_answers_our_close_twice(world, side):
    ws, peer = world.open(side)

    def answer():
        code = peer.expect(CLOSE).code
        peer.stream.write(peer.make(CLOSE, close_payload(code)) * 3)
        peer.hang_up()
        peer.expect_end()

    answering = world.spawn(answer)
    ws.close(4003, "done")
    answering.result()
    assert ws.close_reason == 4003
    ws.close()


class Failure(Exception):
    """What the application raises."""


class Unspeakable:
    """Cannot be made a text of."""

    def __str__(self):
        raise Failure


def after_accept(ws):
    raise Failure


def after_receive(ws):
    ws.receive()
    raise Failure


def while_iterating(ws):
    for _ in ws:
        raise Failure


def in_send(ws):
    ws.receive()
    ws.send(Unspeakable())


def with_an_adopted_connection(ws):
    ws._link._keeper.backend.sleep(0.6)
    raise Failure


def while_another_task_receives(ws):
    task = tasks[-1](ws.receive)
    try:
        raise Failure
    finally:
        tasks.append(task)


def after_close(ws):
    ws.close(4000)
    raise Failure


def in_the_middle_of_something_else(ws):
    try:
        ws.receive(0)
        raise KeyError("missing")
    finally:
        raise Failure


tasks = []

PLACES = (
    after_accept, after_receive, while_iterating, in_send, with_an_adopted_connection, while_another_task_receives, after_close,
    in_the_middle_of_something_else,
)  # fmt: skip


@plain_and_tls
@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", PLACES)
def test_an_application_that_raises_anywhere(world, tls, place, error, monkeypatch):
    if error is not Failure:
        monkeypatch.setitem(globals(), "Failure", error)
    tasks[:] = [world.spawn]
    ended = world.event()

    def application(ws):
        with pytest.raises(error):
            with ws:
                place(ws)
        assert not ws.connected
        with pytest.raises(ConnectionClosed):
            ws.send("more")
        ended.set()

    with world.serving(application, tls) as url:
        ws = world.connect(url, tls)
        ws.send("hello")
        with pytest.raises(ConnectionClosed) as closed:
            ws.receive(5)
        expected = 4000 if place is after_close else 1011 if error is Exception or issubclass(error, Exception) else 1001
        assert closed.value.reason == expected
        ended.wait(5)
        for task in tasks[1:]:
            with pytest.raises(ConnectionClosed):
                while True:
                    task.result(5)
                    task = world.spawn(ws.receive)
        ws.close()


def test_a_handler_that_leaves_without_closing(world, caplog):
    """Its web server then closes the socket, as it may: nothing for the keeper to complain about."""
    left = []

    def leave(ws):
        left.append(ws)
        ws.receive()
        with pytest.raises(ConnectionClosed):
            while True:
                ws.send(bytes(100_000))

    with world.serving(leave, compression=False) as url:
        for _ in range(5):
            ws = world.connect(url)
            ws.send("go")
            assert ws.receive(5)
            ws._link.sock.shutdown(socket.SHUT_RDWR)
        world.until(lambda: len(left) == 5 and all(not ws.connected for ws in left))
    world.sleep(0.6)
    assert not caplog.records
    for ws in left:
        assert ws.close_reason == 1006
        with pytest.raises(ConnectionClosed):
            while True:
                ws.receive(5)


def test_choosing_a_subprotocol_fails(world):
    """Before the handshake is answered: the socket is the web server's alone, as if nothing had been."""

    class Choosy(Server):
        def choose_subprotocol(self, request):
            raise Failure

    listener = world.listen()

    def serve():
        sock = world.server_socket(listener.accept())
        with pytest.raises(Failure):
            Choosy.accept(read_request(sock).environ(), sock=sock, **world.options)
        sock.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
        sock.close()

    serving = world.spawn(serve)
    with pytest.raises(ConnectionError) as error:
        Client.connect(listener.url(), **world.options)
    assert error.value.status_code == 500
    serving.result()


@both_sides
def test_a_message_that_cannot_be_sent_changes_nothing(world, side):
    ws, peer = world.open(side)
    with pytest.raises(Failure):
        ws.send(Unspeakable())
    with pytest.raises(UnicodeEncodeError):
        ws.send("half a pair \ud800")
    with pytest.raises(ValueError):
        ws.ping(bytes(126))
    ws.send("fine")
    assert peer.expect(TEXT).text == "fine"
    peer.send("too")
    assert ws.receive(5) == "too"
