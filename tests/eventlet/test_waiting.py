"""The waiter of the eventlet preset, which leaves its listener in the hub from one wait to the next."""

import os
import socket
import time

import eventlet
import eventlet.green.socket
import eventlet.hubs
import pytest

from simple_websocket.backends.eventlet import HubWaiter


@pytest.fixture
def pair():
    ours, theirs = eventlet.green.socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def waiter(pair):
    waiter = HubWaiter(pair[0])
    yield waiter
    waiter.close()


def listened_to(fd):
    hub = eventlet.hubs.get_hub()
    return fd in hub.listeners[hub.READ]


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        eventlet.sleep(0.001)


def waiting(waiter, timeout=10):
    """Start to wait; the green thread's result is that of the wait."""
    thread = eventlet.spawn(waiter.readable, timeout)
    until(lambda: waiter._reader is not None)
    return thread


def test_listening_goes_on_between_two_waits(pair, waiter):
    ours, theirs = pair
    listeners = []
    for timeout in (None, 10, None):
        thread = waiting(waiter, timeout)
        theirs.send(b"x")
        assert thread.wait() is True
        assert listened_to(ours.fileno())
        listeners.append(waiter._listener)
        assert ours.recv(9) == b"x"
    assert len(set(map(id, listeners))) == 1


def test_what_comes_while_nobody_waits_ends_the_listening(pair, waiter):
    """Otherwise the hub would find it ready again and again."""
    ours, theirs = pair
    for _ in range(3):
        thread = waiting(waiter)
        theirs.send(b"1")
        assert thread.wait() and ours.recv(9) == b"1"
        assert listened_to(ours.fileno())
        theirs.send(b"2")
        until(lambda: not listened_to(ours.fileno()))
        assert waiter.readable(10) and ours.recv(9) == b"2"


def test_a_wait_that_is_over(pair, waiter):
    assert waiter.readable(0.01) is False
    assert waiter.readable(0) is False
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        waiter.readable(None)
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        waiter.readable(10)
    pair[1].send(b"x")
    assert waiter.readable(10) is True


def test_a_green_thread_that_is_killed_while_it_waits(pair, waiter):
    waiting(waiter).kill()
    assert waiter._reader is None
    thread = waiting(waiter)
    pair[1].send(b"x")
    assert thread.wait() is True


@pytest.mark.parametrize("somebody_waits", [True, False])
def test_a_descriptor_that_is_used_again(pair, waiter, somebody_waits):
    """Its owner has closed it without a word, as a garbage collector does; the hub is told of the next one."""
    ours, theirs = pair
    thread = waiting(waiter)
    theirs.send(b"x")
    assert thread.wait() is True and ours.recv(9) == b"x"
    if somebody_waits:
        thread = waiting(waiter)  # who is not the one for whom the hub began to listen
    fd = ours.fileno()
    ours.close()
    other = eventlet.green.socket.socket(type=socket.SOCK_DGRAM)
    try:
        assert other.fileno() == fd
        eventlet.sleep(0)  # the hub says so at its next turn
        assert (thread.wait() if somebody_waits else waiter.readable(10)) is True
        waiter.close()
        other.bind(("127.0.0.1", 0))
        reader = eventlet.spawn(other.recv, 9)
        eventlet.sleep(0)
        other.sendto(b"next", other.getsockname())
        assert reader.wait() == b"next"
    finally:
        other.close()


def test_the_hub_forgets_a_descriptor(pair, waiter):
    thread = waiting(waiter)
    pair[1].send(b"x")
    thread.wait()
    eventlet.hubs.get_hub().remove_descriptor(pair[0].fileno())
    waiter.close()
    waiter.close()


def test_the_next_one_to_use_the_socket(pair, waiter):
    """The hub takes one listener for a socket: a web server's, after ours."""
    ours, theirs = pair
    thread = waiting(waiter)
    theirs.send(b"x")
    assert thread.wait() and ours.recv(9) == b"x"
    waiter.close()
    assert not listened_to(ours.fileno())
    reader = eventlet.spawn(ours.recv, 9)
    eventlet.sleep(0)
    theirs.send(b"next")
    assert reader.wait() == b"next"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_child_takes_nothing_from_its_parent(pair, waiter):
    thread = waiting(waiter)
    child = os.fork()
    if not child:
        waiter.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    pair[1].send(b"x")
    assert thread.wait() is True


def test_writing(pair, waiter):
    assert waiter.writable(None) is True
    ours, theirs = pair
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    assert waiter.writable(0.01) is False
    reader = waiting(waiter)  # the other direction is another matter
    thread = eventlet.spawn(waiter.writable, 10)
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            theirs.recv(1 << 20)
    assert thread.wait() is True
    theirs.send(b"x")
    assert reader.wait() is True
