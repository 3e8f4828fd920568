"""What the cases of `serve` stand on: a running server, and plain HTTP clients of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from simple_websocket import serve

from .peer import Peer, make_stream
from .stream import Stream
from .wire import Head
from .world import Process, World, client_context, server_context


def echo(ws: Any) -> None:
    for message in ws:
        ws.send(message)


@contextmanager
def serving(world: World, handler: Any = echo, *arguments: Any, tls: bool = False, **options: Any) -> Iterator[Any]:
    """A server of this world, which has to end without leaving a handler behind."""
    if tls:
        options["ssl_context"] = server_context(world)
    server = serve(handler, *arguments, **{**world.options, **options})
    server.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{server.port}/"
    try:
        yield server
    finally:
        assert server.stop(10)
    assert server.connections == 0


def dial(world: World, server: Any, tls: bool = False) -> Stream:
    """A client's stream."""
    stream = make_stream(world, world.dial(server.address), client_context() if tls else None, "127.0.0.1")
    world.on_cleanup(stream.close)
    return stream


def peer_of(world: World, server: Any, tls: bool = False) -> Peer:
    return Peer(dial(world, server, tls), client=True)


def read_all(stream: Stream) -> bytes:
    """Everything until the end of the stream, which must be in order."""
    found = b""
    while piece := stream.read():
        found += piece
    return found


def ask(world: World, server: Any, request: bytes, tls: bool = False) -> tuple[Head, bytes]:
    """Send bytes; return the head of the response and its body, to the end of the stream."""
    stream = dial(world, server, tls)
    stream.write(request)
    head, separator, body = read_all(stream).partition(b"\r\n\r\n")
    stream.close()
    assert separator, f"no response to {request[:60]!r}"
    return Head(head), body


class Program:
    """Python code that serves in a process of its own; it gets the name of its backend, and says ``port N`` once it listens.

    What it has said before that, warnings of eventlet for example, does not count.
    """

    def __init__(self, world: World, code: str, *arguments: str) -> None:
        self._process = process = Process(world, world.preamble + code, world.options.get("backend", ""), *arguments)
        world.on_cleanup(process.end)
        world.until(lambda: process.status is not None or self._begun(), 20, "the port")
        begun = self._begun()
        assert begun, process.output()
        self.url = f"ws://127.0.0.1:{begun.group(1)}/"
        self.signal = process.signal

    @property
    def status(self) -> int | None:
        return self._process.status

    def output(self) -> str:
        """What it has said since it listens."""
        begun = self._begun()
        return begun.string[begun.end() :] if begun else ""

    def _begun(self) -> re.Match[str] | None:
        return re.search(r"^port (\d+)\n", self._process.output(), re.MULTILINE)


def get(target: str = "/", method: str = "GET", version: str = "1.1", *headers: str) -> bytes:
    """A plain request."""
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: example.org", *headers, "", ""]).encode("latin-1")
