"""Descriptors that run out while a client connects: an error, nothing left, and the next attempt is as good as the first."""

import pytest

OUT_OF_DESCRIPTORS = """
import os, resource, sys, time
from simple_websocket import Client
from simple_websocket.keeper import all_keepers
url, backend, spare = sys.argv[1:]
options = {"backend": backend} if backend else {}

def talk():
    ws = Client.connect(url, **options)
    sleep = ws._link._keeper.backend.sleep
    ws.send("hello")
    assert ws.receive(5) == "hello"
    ws.close()
    while any(keeper._running for keeper in all_keepers()):
        sleep(0.01)

def descriptors():
    return set(os.listdir("/proc/self/fd"))

def settle():
    by = time.monotonic() + 5
    while len(descriptors()) != before and time.monotonic() < by:
        time.sleep(0.01)  # gevent's patched os.close is carried out by the hub
    assert len(descriptors()) == before, descriptors()

talk()
before = len(descriptors())
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
fill = []
try:
    while True:
        fill.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
spares = [fill.pop() for _ in range(int(spare))]
for number in spares:
    os.close(number)
try:
    Client.connect(url, **options)
except OSError as error:
    print("refused", error.errno, flush=True)
for number in fill:
    os.close(number)
settle()
talk()
settle()
print("good")
"""


def echo(ws):
    for message in ws:
        ws.send(message)


@pytest.mark.parametrize("spare", ["1", "2", "3"])
def test_descriptors_that_run_out_while_a_client_connects(world, spare):
    """One is its socket, three more are a keeper's."""
    with world.serving(echo) as url:
        status, output, _ = world.run(OUT_OF_DESCRIPTORS, url, world.options.get("backend", ""), spare)
    assert (status, output.split("\n")[-3:]) == (0, ["refused 24", "good", ""]), output
