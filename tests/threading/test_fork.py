"""fork() with open connections: the child makes connections of its own, and the parent's are unharmed."""

import os
import sys
import threading
import traceback
import warnings

import pytest

from simple_websocket import Client
from tests.support import leaks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def echo(ws):
    for message in ws:
        ws.send(message)


def in_child(world, action):
    """Run a function in a forked child; it must return."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: fork in a process with threads
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    ended = []

    def wait():
        ended[:] = [status for found, status in [os.waitpid(pid, os.WNOHANG)] if found]
        return ended

    try:
        world.until(wait, 20, "the end of the child")
    except AssertionError:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise
    assert ended == [0]


def test_a_child_makes_connections_of_its_own(world):
    with world.serving(echo) as url:
        ws = world.connect(url)
        ws.send("before")
        assert ws.receive(5) == "before"

        def child():
            assert not leaks.keepers()  # threads stay behind
            with Client.connect(url, ping_interval=0.1, ping_timeout=5) as own:
                for number in range(10):
                    own.send(str(number))
                    assert own.receive(5) == str(number)
                world.until(lambda: own.latency is not None)  # its own keeper adopts it, and pings
                assert len(leaks.keepers()) == 1

        for _ in range(3):
            in_child(world, child)
        ws.send("after")
        assert ws.receive(5) == "after"
        ws.close()


@pytest.mark.parametrize("adopted", [False, True])
def test_a_child_that_drops_its_copies_harms_no_connection_of_the_parent(world, adopted):
    client, server = world.pair(client={"ping_interval": 0.2, "ping_timeout": 5})
    if adopted:
        world.sleep(0.7)

    def child():
        for connection in (client, server):
            connection.__del__()  # what the end of a child that does not os._exit would do
        world.sleep(0.5)

    in_child(world, child)
    assert client.connected and server.connected
    for one, other in ((client, server), (server, client)):
        one.send("unharmed")
        assert other.receive(5) == "unharmed"
    server.send("and looked after")
    world.sleep(0.7)
    assert client.receive(0) == "and looked after"
    world.until(lambda: client.latency is not None)


def test_fork_while_other_threads_send_and_receive(world):
    with world.serving(echo) as url:
        ws = world.connect(url)
        stop = threading.Event()

        def talk():
            count = 0
            while not stop.is_set():
                ws.send(f"{count} " + "x" * 5000)
                assert ws.receive(5).startswith(f"{count} ")
                count += 1
            return count

        talking = world.spawn(talk)

        def child():
            with Client.connect(url) as own:
                own.send("child")
                assert own.receive(5) == "child"

        for _ in range(5):
            in_child(world, child)
        stop.set()
        assert talking.result() > 0
        ws.close()
