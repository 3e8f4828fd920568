"""What concerns gevent alone: classes as its users inject them, and families that do not go together."""

import threading

import gevent
import gevent.event
import gevent.lock
import gevent.selectors
import gevent.socket
import gevent.threading
import pytest

from simple_websocket import Client, ConnectionClosed
from simple_websocket.backends import resolve
from tests.support import leaks


def connect_to_nowhere(**options):
    return Client.connect("ws://127.0.0.1:1/", **options)


def test_a_bare_greenlet_class_can_be_injected(world):
    listener = world.listen()
    task = world.spawn(world.accept, listener, False, {})
    client = world.connect(listener.url(), thread_class=gevent.Greenlet, event_class=gevent.event.Event)
    server = task.result()
    server.send("hello")
    world.sleep(0.6)  # a keeper made of it reads
    assert client.receive(0) == "hello"
    assert all(isinstance(keeper, gevent.Greenlet) for keeper in leaks.keepers())


@pytest.mark.parametrize("foreign", ["thread_class", "event_class", "selector_class", "backend"])
def test_eventlet_beside_gevent_is_refused_naming_both(world, foreign):
    pytest.importorskip("eventlet")
    import eventlet.green.selectors
    import eventlet.green.threading

    theirs = {
        "thread_class": eventlet.green.threading.Thread,
        "event_class": eventlet.green.threading.Event,
        "selector_class": eventlet.green.selectors.DefaultSelector,
        "backend": "eventlet",
    }
    ours = {"thread_class": world.thread_class, "event_class": world.event_class, "selector_class": world.selector_class}
    mixed = {**ours, foreign: theirs[foreign]}
    with pytest.raises(ValueError) as error:
        connect_to_nowhere(**mixed)
    assert "gevent" in str(error.value) and "eventlet" in str(error.value)


def test_native_threads_beside_gevent_are_refused(world):
    if world.patched:
        with pytest.raises(ValueError) as error:
            connect_to_nowhere(backend="threading")
        assert "gevent" in str(error.value)
        assert resolve(thread_class=threading.Thread).name == "gevent"  # it is gevent's now
        return
    for mixed in (
        {"thread_class": threading.Thread, "event_class": gevent.event.Event},
        {"event_class": threading.Event, "backend": "gevent"},
        {"thread_class": world.thread_class, "backend": "threading"},
    ):
        with pytest.raises(ValueError) as error:
            connect_to_nowhere(**mixed)
        assert "gevent" in str(error.value) and "threading" in str(error.value)


def test_gevents_own_thread_class_is_known_as_gevents():
    assert resolve(thread_class=gevent.threading._DummyThread).name == "gevent"


def test_a_green_socket_needs_no_other_word(world):
    client, server = world.pair(server={"backend": None})
    assert isinstance(server._link.read_lock, gevent.lock.Semaphore)
    client.send("hello")
    assert server.receive(5) == "hello"


@pytest.mark.parametrize("blocked", ["receive", "send"])
def test_a_killed_greenlet_leaves_the_connection_to_others(world, blocked):
    ws, peer = world.open("client")
    victim = gevent.spawn(ws.receive) if blocked == "receive" else gevent.spawn(ws.send, bytes(32 << 20))
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


def test_hubs_of_two_native_threads_have_keepers_of_their_own(world):
    """gevent's primitives belong to one native thread."""
    start_native = gevent.monkey.get_original("_thread", "start_new_thread")
    with world.serving(lambda ws: [ws.send(message) for message in ws]) as url:
        outcome = []
        hubs = [gevent.get_hub()]

        def elsewhere():
            try:
                hubs.append(gevent.get_hub())
                ws = Client.connect(url, backend="gevent")
                ws.send("from another thread")
                outcome.append(ws.receive(5))
                gevent.sleep(0.6)
                outcome.append(ws.connected)
                ws.close()
                gevent.sleep(0.5)  # its keeper ends
            except BaseException as error:
                outcome.append(error)
            finally:
                gevent.get_hub().destroy(destroy_loop=True)
                ended.append(True)

        ended = []
        start_native(elsewhere, ())
        ours = world.connect(url)
        ours.send("from here")
        assert ours.receive(5) == "from here"
        world.until(lambda: ended, 10)
        assert len(set(hubs)) == 2
        assert outcome == ["from another thread", True]
        ours.close()


def test_closing_from_gevents_kill_of_all(world):
    """What pywsgi does at its end: every handler is killed while it receives."""
    client, server = world.pair()
    handlers = [gevent.spawn(server.receive) for _ in range(3)]
    world.sleep(0.1)
    gevent.killall(handlers, timeout=5)
    assert all(handler.dead for handler in handlers)
    closing = world.spawn(server.close, 1001)
    with pytest.raises(ConnectionClosed) as error:
        client.receive(5)
    assert error.value.reason == 1001
    closing.result()


def test_what_a_connection_calls_is_the_system_call_itself():
    """Between it and the operating system there is nothing of gevent's, which would be half as much again."""
    with gevent.socket.socket() as sock:
        raw = resolve(sock).raw(sock)
        assert raw is not sock and raw.fileno() == sock.fileno()
        assert type(raw.recv).__name__ == type(raw.send).__name__ == "builtin_function_or_method"
