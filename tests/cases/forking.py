"""fork() with open connections: they stay the parent's, unharmed, and a child makes connections of its own."""

import gc
import os

import pytest

from simple_websocket import Client, ConnectionClosed
from simple_websocket.keeper import all_keepers
from tests.cases.marks import one_plain_one_tls, plain_and_tls
from tests.support.forking import CAN_FORK, child_of, in_child
from tests.support.peer import Peer, make_stream
from tests.support.wire import CLOSE, PING, PONG, TEXT
from tests.support.world import Process, client_context

needs_fork = pytest.mark.skipif(not CAN_FORK, reason="this system has no fork")

LOOKED_AFTER = {"ping_interval": 0.2, "ping_timeout": 10}


def echo(ws):
    for message in ws:
        ws.send(message)


@needs_fork
@plain_and_tls
def test_a_forked_child_makes_connections_of_its_own(world, tls):
    with world.serving(echo, tls) as url:
        ws = world.connect(url, tls, **LOOKED_AFTER)
        ws.send("before")
        assert ws.receive(5) == "before"
        trust = {"ssl_context": client_context()} if tls else {}

        def child():
            assert not all_keepers()
            with Client.connect(url, **LOOKED_AFTER, **trust, **world.options) as own:
                for number in range(10):
                    own.send(str(number))
                    assert own.receive(5) == str(number)
                world.until(lambda: own.latency is not None)  # its own keeper adopts it, and pings
                assert own._link in all_keepers()[0].links and ws._link not in all_keepers()[0].links
                assert own._link._keeper is all_keepers()[0] is not ws._link._keeper
            assert own.close_reason == 1000
            world.until(lambda: not all_keepers()[0]._running, what="the end of its keeper")

        for _ in range(2):
            in_child(world, child)
        ws.send("after")
        assert ws.receive(5) == "after"
        assert ws.connected
        ws.close()
        assert ws.close_reason == 1000


@needs_fork
@one_plain_one_tls
@pytest.mark.parametrize("state", ["fresh", "adopted", "receiving"])
def test_a_child_beside_open_connections_neither_reads_nor_writes_them(world, side, tls, state):
    """While it lives, and its hub runs: the peer gets each answer once, and the parent each message."""
    ws, peer = world.open(side, tls, **LOOKED_AFTER)
    receiving = world.spawn(ws.receive) if state == "receiving" else None
    if state != "fresh":
        world.sleep(0.7)

    def child():
        for _ in range(2):
            gc.collect()
            world.sleep(0.3)

    with child_of(world.name, child) as status:
        sent = []
        got = []
        pongs = []
        while status() is None:
            sent.append(str(len(sent)))
            peer.stream.write(peer.make(PING, sent[-1].encode()) + peer.message(sent[-1]))
            while not pongs or pongs[-1] != sent[-1]:
                found = peer.next_frame(5)
                if found.opcode == PING:
                    peer.send_frame(PONG, found.payload)
                else:
                    assert found.opcode == PONG, (found.opcode, found.payload)
                    pongs.append(found.payload.decode())
            if receiving is not None:
                got.append(receiving.result(5))
                receiving = world.spawn(ws.receive)
            world.sleep(0.02)
            assert len(sent) < 250, "the child does not end"  # and so many messages may be unread
        assert status() == 0
    while len(got) < len(sent):
        got.append(ws.receive(5) if receiving is None else receiving.result(5))
        receiving = None
    assert got == sent and pongs == sent
    assert len(sent) > 3
    assert ws.connected
    # The parent's keeper has lost nothing of what it watches.
    if receiving is None:
        world.sleep(0.7)
        peer.send_frame(PING, b"afterwards")
        while (found := peer.next_frame(5)).opcode != PONG or found.payload != b"afterwards":
            assert found.opcode in (PING, PONG)
    peer.send("and this")
    assert (ws.receive(5) if receiving is None else receiving.result(5)) == "and this"


@needs_fork
@pytest.mark.parametrize("tls, adopted", [(False, True), (True, False)], ids=["plain-adopted", "tls-fresh"])
@pytest.mark.parametrize("how", ["garbage", "close", "block", "send", "receive"])
def test_a_childs_copy_is_of_no_use(world, tls, adopted, how):
    """Whatever it does with it: nothing is sent, TCP is not ended, nothing is taken away from the parent."""
    client, server = world.pair(tls, client=LOOKED_AFTER, server=LOOKED_AFTER)
    if adopted:
        world.sleep(0.7)

    def child():
        for ws in (client, server):
            if how == "garbage":
                ws.__del__()  # what the end of a child that does not os._exit would do
            elif how == "close":
                ws.close(4000, "the child's")
            elif how == "block":
                with pytest.raises(SystemExit), ws:
                    raise SystemExit
            elif how == "send":
                with pytest.raises(ConnectionClosed):
                    ws.send("from the child")
            else:
                with pytest.raises(ConnectionClosed):
                    ws.receive(0.2)
        world.sleep(0.5)

    with child_of(world.name, child) as status:
        world.until(lambda: status() is not None, 20, "the end of the child")
        ended = status()
    assert client.connected and server.connected
    for one, other in ((client, server), (server, client)):
        one.send("unharmed")
        assert other.receive(5) == "unharmed"
    server.send("and looked after")
    world.sleep(0.7)
    assert client.receive(0) == "and looked after"
    world.until(lambda: client.latency is not None)
    client.close()
    assert client.close_reason == 1000
    assert ended == 0


@needs_fork
def test_fork_while_others_send_and_receive(world):
    with world.serving(echo) as url:
        ws = world.connect(url)
        stop = []

        def talk():
            count = 0
            while not stop:
                ws.send(f"{count} " + "x" * 5000)
                assert ws.receive(5).startswith(f"{count} ")
                count += 1
            return count

        talking = world.spawn(talk)

        def child():
            with Client.connect(url, **world.options) as own:
                own.send("child")
                assert own.receive(5) == "child"

        for _ in range(5):
            world.sleep(0.01)
            in_child(world, child)
        stop.append(True)
        assert talking.result() > 5
        ws.close()


FORKS = """
import os, sys
from tests.support.forking import fork, status_of
from tests.support.world import client_context
from simple_websocket import Client, ConnectionClosed
port, family, how, state = sys.argv[1:]
if family == "gevent":
    from tests.support.on_gevent import GeventWorld as World
elif family == "eventlet":
    from tests.support.on_eventlet import EventletWorld as World
else:
    from tests.support.on_threads import ThreadWorld as World
world = World()

def in_child():
    world.sleep(0.3)
    print("child", flush=True)
    if how == "os._exit":
        os._exit(0)
    sys.exit(0)

ws = Client.connect(f"ws://127.0.0.1:{port}/", ping_interval=20, **world.options)
print("connected", flush=True)
if state == "adopted":
    world.sleep(0.7)
if how == "in the block":
    with ws:
        pid = fork(family)
        if pid == 0:
            in_child()
else:
    pid = fork(family)
    if pid == 0:
        in_child()
while status_of(family, pid) is None:
    world.sleep(0.01)
print("waited", flush=True)
"""

# What the parent does once its child has ended, before its own block or program does.
AFTERWARDS = """
ws.send("parent")
assert ws.receive(5) == "answer", "no answer"
ws.close(4001)
print("good", flush=True)
"""


@needs_fork
@pytest.mark.parametrize("state", ["fresh", "adopted"])
@pytest.mark.parametrize("how", ["os._exit", "sys.exit", "in the block"])
def test_at_the_end_of_a_child_nothing_is_sent(world, how, state):
    """A program that forks: its child's exit functions and finalizers run, and the peer sees the parent's frames alone."""
    code = world.preamble + FORKS
    if how == "in the block":
        wait, code = code[code.index("while status_of") :], code[: code.index("else:\n    pid = fork")]
        code += "".join(f"        {line}\n" if line else "\n" for line in (wait + AFTERWARDS).splitlines())
    else:
        code += AFTERWARDS
    listener = world.listen()
    with Process(world, code, str(listener.address[1]), world.name, how, state) as process:
        peer = Peer(make_stream(world, listener.accept(20)), client=False)
        world.on_cleanup(peer.close)
        peer.accept()
        world.until(lambda: "waited" in process.output() or process.status is not None, 20, process.output())
        assert "child" in process.output(), process.output()
        found = peer.expect(TEXT, 5)  # nothing before it
        assert found.text == "parent"
        peer.send("answer")
        assert peer.expect(CLOSE, 5).code == 4001
        peer.send_close(4001)
        peer.hang_up()
        peer.expect_end()
        world.until(lambda: process.status is not None, 10)
        assert process.status == 0 and "good" in process.output(), process.output()


@needs_fork
def test_a_child_that_inherits_closes_nothing_for_the_parents_peer(world):
    """The descriptors that a child has inherited keep TCP open until it ends: shutdown by the parent must not wait for it."""
    ws, peer = world.open("client")
    reader, writer = os.pipe()

    def child():
        os.read(reader, 1)  # until the parent lets go

    try:
        with child_of(world.name, child) as status:
            closing = world.spawn(ws.close)
            peer.answer_close()
            closing.result(5)
            peer.expect_end()  # TCP has ended although the child still holds a descriptor
            assert status() is None
            os.write(writer, b"!")
            world.until(lambda: status() is not None)
            assert status() == 0
    finally:
        os.close(reader)
        os.close(writer)
    assert ws.close_reason == 1000
