"""What surrounds a connection on gevent: monkey-patching, records and classes of ones own, a server that is out of sight."""

from dataclasses import replace

import gevent
import pytest

from simple_websocket import Server
from simple_websocket.backends import resolve
from tests.support.peer import Peer, make_stream
from tests.support.world import read_request

PATCHED = """
from gevent import monkey; monkey.patch_all()
from simple_websocket import Client
from simple_websocket.backends import resolve
print(resolve().name)
try:
    Client.connect("ws://127.0.0.1:1/", backend="threading")
except ValueError as error:
    print(error)
"""


def test_native_threads_are_refused_in_a_patched_process(world):
    status, output, _ = world.run(PATCHED)
    assert status == 0, output
    assert output.splitlines()[0] == "gevent" and "gevent has monkey-patched this process" in output


@pytest.mark.parametrize("name", ["gevent", "mine"])
def test_a_record_of_ones_own_and_classes_beside_it(world, name):
    """They replace what the record has, whatever it is called."""
    used = []

    class Recording(world.thread_class):
        def __init__(self, *arguments, **options):
            used.append(self)
            super().__init__(*arguments, **options)

    record = replace(resolve(backend="gevent"), name=name)
    ws, peer = world.open("client", backend=record, thread_class=Recording)
    world.sleep(0.6)
    peer.send("hello")
    assert ws.receive(5) == "hello"
    assert len(used) == 1


def test_accepted_outside_of_pywsgis_own_frames(world):
    """In a greenlet that the application has started: there is no handler of the server's to be told anything."""
    listener = world.listen()

    def serve():
        sock = world.server_socket(listener.accept())
        reader = sock.makefile("rb")
        world._last_cleaners.extend([reader.close, sock.close])
        return Server.accept({**read_request(sock).environ(), "wsgi.input": reader})

    serving = world.spawn(serve)
    peer = Peer(make_stream(world, world.dial(listener.address)), client=True)
    world.on_cleanup(peer.close)
    assert peer.ask("example.org").status == 101
    ws = serving.result()
    world._connections.append(ws)
    assert ws.mode == "gevent"
    peer.send("hello")
    assert ws.receive(5) == "hello"


def test_a_timeout_of_the_applications_own_comes_out_of_a_wait_with_another_one(world):
    ws, peer = world.open("client")
    for _ in range(2):
        with pytest.raises(gevent.Timeout) as error, gevent.Timeout(0.05) as ours:
            ws.receive(timeout=5)
        assert error.value is ours
        assert ws.receive(timeout=0.05) is None  # and its own one does not
    peer.send("hello")
    assert ws.receive(5) == "hello"
