"""Finalizers run wherever the collector does: inside any statement of any thread, whatever locks it holds."""

import gc

import pytest

from simple_websocket import Client
from tests.simulation import preemption
from tests.simulation.machine import Machine
from tests.simulation.network import Network, Weather
from tests.simulation.scheduler import Scheduler
from tests.support.wire import Head, response

CAPACITY = 300
HEADER = 8  # of a client's frame with a payload of up to 64 KiB


def clients(scheduler, machine, count):
    """Clients of a server that reads nothing."""
    listener = machine.socket()
    listener.bind(("server", 80))
    listener.listen()

    def accept():
        for _ in range(count):
            sock = listener.accept()[0]
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += sock.recv(4096)
            sock.sendall(response(Head(request)))

    scheduler.spawn(accept, "server")
    return [Client("ws://server:80/", backend=machine.backend, compression=False) for _ in range(count)]


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_a_finalizer_inside_the_keepers_own_lock(first):
    """Of a connection that has something to write and cannot: it must not wait for a lock that its own thread holds."""
    preemption.install()
    gc.collect()
    gc.freeze()  # what is there already need not be looked at two hundred times
    gc.disable()
    try:
        for seed in range(first, first + 50):
            scheduler = Scheduler(seed, limit=100_000)
            machine = Machine(scheduler, Network(scheduler, Weather(capacity=CAPACITY)), threads=True)
            dropped, other = clients(scheduler, machine, 2)
            dropped.send(bytes(CAPACITY - HEADER))
            dropped.me = dropped
            del dropped
            link = other._link

            def call_the_keeper(link=link):
                for _ in range(30):
                    link._keeper.attend(link)

            calling = scheduler.spawn(call_the_keeper, "caller")
            preemption.begin(scheduler, 15)
            scheduler.surprise = gc.collect
            try:
                scheduler.sleep(1)
                assert calling.finished, f"seed {seed}\n{scheduler.describe()}"
                assert scheduler.surprise is None
            finally:
                preemption.end()
                scheduler.end()
                machine.end()
    finally:
        gc.enable()
        gc.unfreeze()
