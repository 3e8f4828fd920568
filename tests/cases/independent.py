"""Against somebody else's WebSocket: the `websockets` package, in a process of its own."""

import pytest

from simple_websocket import ConnectionClosed
from tests.support.world import Process

SERVER = """
from websockets.sync.server import serve
def echo(ws):
    for message in ws:
        if message == "close":
            ws.close(4010, "as you wish")
            return
        if message == "vanish":
            import os
            os._exit(0)
        ws.send(message)
with serve(echo, "127.0.0.1", 0, max_size=None, select_subprotocol=lambda ws, asked: asked[0] if asked else None) as server:
    print(server.socket.getsockname()[1], flush=True)
    server.serve_forever()
"""

CLIENT = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1], max_size=None, compression=sys.argv[2] or None, subprotocols=["chat"]) as ws:
    for message in ("hello", "", b"bytes", "gr\\u00fcn" * 5000, bytes(range(256)) * 4096, b"x" * (1 << 20)):
        for _ in range(3):
            ws.send(message)
            assert ws.recv() == message
    ws.send(["frag", "mented", "", " text"])
    assert ws.recv() == "fragmented text"
    assert ws.ping(b"are you there").wait(5)
    print("subprotocol", ws.subprotocol, flush=True)
    ws.close(3005, "done")
print("code", ws.close_code, flush=True)
"""


def their_server(world):
    """Start it, and return its URL; it ends with the test."""
    process = Process(world, SERVER)
    world.on_cleanup(process.end)
    return f"ws://127.0.0.1:{process.line()}"


@pytest.mark.parametrize("compression", [True, False])
def test_our_client_and_their_server(world, compression):
    ws = world.connect(their_server(world), subprotocols=["chat", "other"], compression=compression)
    assert ws.subprotocol == "chat"
    for message in ("hello", "", b"", b"bytes", "gr\u00fcn" * 5000, bytes(range(256)) * 4096, b"x" * (1 << 20)):
        for _ in range(3):
            ws.send(message)
            assert ws.receive(10) == message
    ws.ping(b"?")
    world.until(lambda: (ws.receive(0), ws.latency)[1] is not None, 5)
    ws.send("close")
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert (error.value.reason, error.value.message) == (4010, "as you wish")


def test_our_client_closes_and_their_server_vanishes(world):
    url = their_server(world)
    ws = world.connect(url)
    started = world.clock()
    ws.close(1001, "enough")
    assert world.clock() - started < 2 and ws.close_reason == 1001
    ws = world.connect(url)
    ws.send("vanish")
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert error.value.reason == 1006


@pytest.mark.parametrize("compression", ["deflate", ""])
def test_their_client_and_our_server(world, compression):
    ends = []

    def echo(ws):
        for message in ws:
            ws.send(message)
        ends.append((ws.close_reason, ws.close_message, ws.subprotocol))

    with world.serving(echo, subprotocols=["chat"]) as url:
        with Process(world, CLIENT, url, compression) as process:
            world.until(lambda: process.status is not None, 20)
            assert process.status == 0, process.output()
            assert process.output().split() == ["subprotocol", "chat", "code", "3005"]
    assert ends == [(3005, "done", "chat")]
