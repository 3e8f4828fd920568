"""Which backend is really used, and classes that are injected."""

import dataclasses

import pytest

from simple_websocket import Client, Server
from simple_websocket.backends import resolve
from tests.support import leaks
from tests.support.world import read_request


def test_the_backend_of_this_folder_is_the_one_in_use(world):
    client, server = world.pair()
    threads = leaks.threads()
    keeper = world.until(leaks.keepers)
    assert len(keeper) == 1
    lock = client._link.read_lock
    if world.name == "threading":
        import threading

        assert isinstance(keeper[0], threading.Thread) and keeper[0].daemon
        assert isinstance(lock, type(threading.Lock()))
    else:
        import greenlet

        assert isinstance(keeper[0], greenlet.greenlet)
        assert any(kind.__module__.startswith(world.name) for kind in type(lock).__mro__)  # ours may be derived
        # Nothing but the hub's own thread, and threads that were there before.
        world.sleep(0.6)
        assert leaks.threads() == threads
    if world.name == "gevent":
        import gevent

        assert isinstance(keeper[0], gevent.Greenlet) and isinstance(keeper[0].parent, gevent.hub.Hub)
    if world.name == "eventlet":
        import eventlet.hubs

        assert keeper[0].parent is eventlet.hubs.get_hub().greenlet


def test_nobody_blocks_the_others(world):
    """While one task waits in receive(), in send() and in close(), another one runs on."""
    ws, peer = world.open("client", close_timeout=1)
    ticks = []

    def tick():
        while not stop.is_set():
            ticks.append(world.clock())
            world.sleep(0.02)

    stop = world.event()
    ticking = world.spawn(tick)
    receiving = world.spawn(ws.receive)
    world.sleep(0.3)
    sending = world.spawn(ws.send, bytes(32 << 20))
    world.sleep(0.3)
    closing = world.spawn(ws.close)
    closing.result(5)
    stop.set()
    ticking.result()
    for task in (receiving, sending):
        task.wait()
        assert task.error is not None
    gaps = [after - before for before, after in zip(ticks, ticks[1:], strict=False)]
    assert len(gaps) > 20 and max(gaps) < 0.5


def test_connecting_does_not_block_the_others(world):
    listener = world.listen()
    ticks = []
    connecting = world.spawn(lambda: Client.connect(listener.url(), open_timeout=0.6, **world.options))
    while not connecting.finished:
        ticks.append(world.clock())
        world.sleep(0.02)
    assert type(connecting.error).__name__ == "ConnectionError"
    assert len(ticks) > 10


def recording(base, used):
    class Recording(base):
        def __init__(self, *arguments, **options):
            used.append(self)
            super().__init__(*arguments, **options)

    return Recording


def test_injected_classes_are_really_used(world):
    """Without a word about the backend, which is found from them."""
    used = {"thread_class": [], "event_class": [], "selector_class": []}
    classes = {name: recording(getattr(world, name), used[name]) for name in ("thread_class", "event_class")}
    make_selector = resolve(**world.options).selector_class
    classes["selector_class"] = lambda: used["selector_class"].append(make_selector()) or used["selector_class"][-1]
    listener = world.listen()
    task = world.spawn(accept_with, world, listener, classes)
    client = world.connect(listener.url(), **classes)
    server = task.result()
    assert client._link._keeper is server._link._keeper  # the same classes, the same keeper
    world.until(lambda: used["thread_class"] and used["selector_class"])
    assert len(used["thread_class"]) == len(used["selector_class"]) == 1
    client.send("hello")
    world.sleep(0.6)  # the keeper reads it
    assert server.receive(0) == "hello"
    receiving = world.spawn(server.receive)
    client.close(4000)
    receiving.wait()
    assert server.close_reason == 4000
    server.close()
    world.until(lambda: not leaks.keepers())
    # Of an adopted connection's end its keeper is told with an event.
    client, peer = world.open("client", close_timeout=0, **classes)
    world.until(lambda: client._link.watched)
    client.close()
    assert used["event_class"]


def accept_with(world, listener, classes):
    sock = world.server_socket(listener.accept())
    world.on_cleanup(sock.close)
    server = Server.accept(read_request(sock).environ(), sock=sock, **classes)
    world.on_cleanup(server.close)
    return server


@pytest.mark.parametrize("name", ["event_class", "selector_class"])
def test_one_injected_class_is_enough_to_find_the_family(world, name):
    assert resolve(**{name: getattr(world, name)}).name == world.name


def test_a_familys_own_classes_can_be_injected(world):
    """What python-engineio does: no word about the backend, and the classes of the family's own modules."""
    classes = {name: getattr(world, name) for name in ("thread_class", "event_class", "selector_class")}
    listener = world.listen()
    task = world.spawn(accept_with, world, listener, classes)
    client = world.connect(listener.url(), **classes)
    server = task.result()
    for _ in range(2):
        server.send("to be read ahead")
        world.sleep(0.6)  # the keeper has adopted both
        assert client.receive(0) == "to be read ahead"
        receiving = world.spawn(server.receive)
        client.send("to be waited for")
        assert receiving.result(5) == "to be waited for"
    receiving = [world.spawn(server.receive), world.spawn(client.receive)]
    world.sleep(0.6)
    client.close(4000)
    for task in receiving:
        task.wait()
        assert task.error is not None and task.error.reason == 4000


def test_the_socket_is_enough_to_find_the_family(world):
    listener = world.listen()
    sock = world.dial(listener.address)
    world.on_cleanup(sock.close)
    server_sock = world.server_socket(listener.accept())
    world.on_cleanup(server_sock.close)
    assert resolve(server_sock).name == world.name
    if world.patched:
        assert resolve().name == world.name
    else:
        assert resolve().name == "threading"


def test_a_record_of_ones_own(world):
    slept = []
    backend = resolve(**world.options)
    own = dataclasses.replace(backend, name="mine", clock=lambda: slept.append(1) or world.clock())
    ws, peer = world.open("client", backend=own)
    peer.send("hello")
    assert ws.receive(5) == "hello"
    assert slept


def test_an_event_class_that_is_none(world):
    listener = world.listen()
    with pytest.raises(ValueError, match="event_class"):
        Client.connect(listener.url(), event_class=dict, **world.options)
