"""What concerns eventlet alone: classes as its users inject them, and families that do not go together."""

import threading

import eventlet
import eventlet.green.selectors
import eventlet.green.socket
import eventlet.green.threading
import eventlet.hubs
import eventlet.semaphore
import pytest

from simple_websocket import Client
from simple_websocket.backends import resolve


def connect_to_nowhere(**options):
    return Client.connect("ws://127.0.0.1:1/", **options)


@pytest.mark.parametrize("foreign", ["thread_class", "event_class", "selector_class", "backend"])
def test_gevent_beside_eventlet_is_refused_naming_both(world, foreign):
    pytest.importorskip("gevent")
    import gevent.event
    import gevent.selectors

    theirs = {
        "thread_class": gevent.Greenlet,
        "event_class": gevent.event.Event,
        "selector_class": gevent.selectors.DefaultSelector,
        "backend": "gevent",
    }
    ours = {"thread_class": world.thread_class, "event_class": world.event_class, "selector_class": world.selector_class}
    with pytest.raises(ValueError) as error:
        connect_to_nowhere(**{**ours, foreign: theirs[foreign]})
    assert "gevent" in str(error.value) and "eventlet" in str(error.value)


def test_native_threads_beside_eventlet_are_refused(world):
    if world.patched:
        with pytest.raises(ValueError) as error:
            connect_to_nowhere(backend="threading")
        assert "eventlet" in str(error.value)
        assert resolve(thread_class=threading.Thread).name == "eventlet"  # it is eventlet's now
        return
    for mixed in (
        {"thread_class": threading.Thread, "event_class": eventlet.green.threading.Event},
        {"event_class": threading.Event, "backend": "eventlet"},
        {"selector_class": world.selector_class, "backend": "threading"},
    ):
        with pytest.raises(ValueError) as error:
            connect_to_nowhere(**mixed)
        assert "eventlet" in str(error.value) and "threading" in str(error.value)


def test_the_standard_librarys_classes_in_green_are_eventlets():
    for name, green in (
        ("thread_class", eventlet.green.threading.Thread),
        ("event_class", eventlet.green.threading.Event),
        ("selector_class", eventlet.green.selectors.DefaultSelector),
    ):
        assert resolve(**{name: green}).name == "eventlet", name


def test_a_green_thread_class_can_be_injected(world):
    client, server = world.pair(client={"thread_class": eventlet.green.threading.Thread})
    server.send("hello")
    world.sleep(0.6)
    assert client.receive(0) == "hello"


def test_a_green_socket_needs_no_other_word(world):
    client, server = world.pair(server={"backend": None})
    assert isinstance(server._link.read_lock, eventlet.semaphore.Semaphore)
    client.send("hello")
    assert server.receive(5) == "hello"


@pytest.mark.parametrize("blocked", ["receive", "send"])
def test_a_killed_greenlet_leaves_the_connection_to_others(world, blocked):
    ws, peer = world.open("client")
    victim = eventlet.spawn(ws.receive) if blocked == "receive" else eventlet.spawn(ws.send, bytes(32 << 20))
    world.sleep(0.2)
    victim.kill()
    if blocked == "receive":
        peer.send("for somebody else")
        assert ws.receive(5) == "for somebody else"
        return
    reading = world.spawn(peer.next_frame)
    assert len(reading.result(20).payload) == 32 << 20  # the keeper completes it
    ws.send("next")
    assert peer.receive() == "next"


def test_no_second_simultaneous_read(world):
    """Eventlet's hub refuses two readers of one socket; receivers, closers and the keeper must not be two."""
    ws, peer = world.open("client")
    receiving = [world.spawn(ws.receive, 3) for _ in range(5)]
    world.sleep(0.6)
    for number in range(5):
        peer.send(str(number))
    assert sorted(task.result(5) for task in receiving) == list("01234")
    assert not any(eventlet.hubs.get_hub().secondaries.values())


def test_what_a_connection_calls_is_the_system_call_itself():
    """Between it and the operating system there is nothing of eventlet's, which would be half as much again."""
    with eventlet.green.socket.socket() as sock:
        raw = resolve(sock).raw(sock)
        assert raw is not sock and raw.fileno() == sock.fileno()
        assert type(raw.recv).__name__ == type(raw.send).__name__ == "builtin_function_or_method"
