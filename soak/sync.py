"""The soak of one synchronous backend: `python -m soak.sync BACKEND PART AMOUNT`.

Parts: ``cycles`` (so many connections, each with an ending drawn by lot), ``tls`` (one connection, both directions flat out, for
so many seconds), ``traffic`` (several connections of every kind at once, for so many seconds).
"""

from __future__ import annotations

import os
import random
import socket
import struct
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

from simple_websocket import Client, ConnectionClosed, ConnectionError, Server
from tests.support.world import World, certificate, client_context, read_request

from .report import Finding, Held, say

WARM_UP = 300  # cycles
MOST_WARM_UP = 60.0  # seconds of traffic
SIZES = (0, 1, 60, 125, 126, 4000, 65535, 65536, 200_000)


def make_world(backend: str) -> World:
    if backend == "gevent":
        from tests.support.on_gevent import GeventWorld as Made
    elif backend == "eventlet":
        from tests.support.on_eventlet import EventletWorld as Made
    else:
        from tests.support.on_threads import ThreadWorld as Made
    return Made()  # type: ignore[no-any-return]


class Echo:
    """A server of echoes on plain TCP or TLS, with a handler for each connection, which ends as the first message says."""

    def __init__(self, world: World, tls: bool, **options: Any) -> None:
        self._world, self._tls, self._options = world, tls, options
        self._listener = world.listen(backlog=128)
        self.url = self._listener.url(tls)
        self.troubles: list[str] = []
        if tls:
            client_context()  # makes the authority, before two threads do that at once, each its own
        world.start(self._accept)

    def _accept(self) -> None:
        while True:
            try:
                sock = self._listener.accept(timeout=10**6)
            except OSError:
                return
            self._world.start(lambda sock=sock: self._handle(sock))  # type: ignore[misc]

    def _handle(self, sock: Any) -> None:
        world = self._world
        try:
            sock = world.server_tls(sock, certificate()) if self._tls else world.server_socket(sock)
            ws = Server.accept(read_request(sock).environ(), sock=sock, **{**world.options, **self._options})
            for message in ws:
                if message == "close":
                    ws.close(4000)
                elif message == "leave":
                    return  # and the socket is closed under it
                else:
                    ws.send(message)
        except (ConnectionClosed, ConnectionError, OSError):
            pass
        except Exception as error:
            self.troubles.append(f"server: {error!r}")
        finally:
            sock.close()

    def end(self) -> None:
        self._listener.shutdown()
        self._world.sleep(0.1)
        self._listener.close()


def reset(ws: Client) -> None:
    """End the connection as a crashed machine's kernel does."""
    sock = ws._link.sock  # type: ignore[union-attr]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ws._link._transport.shutdown()  # type: ignore[union-attr]


def fail(ws: Client) -> None:
    with suppress(ZeroDivisionError), ws:
        raise ZeroDivisionError


def be_closed(word: str) -> Any:
    def end(ws: Client) -> None:
        ws.send(word)
        with suppress(ConnectionClosed):
            while True:
                ws.receive(10)

    return end


def forget(ws: Client) -> None:
    """Leave it to the garbage collector."""


def close_twice(ws: Client) -> None:
    ws.close()
    ws.close(4001)


ENDINGS = {
    "close": Client.close, "close twice": close_twice, "server closes": be_closed("close"), "server leaves": be_closed("leave"),
    "reset": reset, "error": fail, "forgotten": forget,
}  # fmt: skip


def cycle(world: World, url: str, dice: random.Random, counts: Counter[str]) -> None:
    """Connect, echo, end."""
    options: dict[str, Any] = {"compression": dice.random() < 0.5, "ping_interval": dice.choice([None, 0.2, 25])}
    if url.startswith("wss"):
        options["ssl_context"] = client_context()
    ws = Client.connect(url, close_timeout=2, **options, **world.options)
    for _ in range(dice.randrange(3)):
        message = os.urandom(dice.choice(SIZES[:6]))
        ws.send(message)
        got = ws.receive(20)
        assert got == message, f"{len(message)} bytes came back as {got if got is None else len(got)}"
    name = dice.choice(list(ENDINGS))
    counts[name] += 1
    ENDINGS[name](ws)


def cycles(world: World, count: int) -> Finding:
    """One after the other, every tenth over TLS."""
    servers = [Echo(world, tls, close_timeout=2) for tls in (False, True)]
    dice, counts = random.Random(count), Counter[str]()
    before = None
    for number in range(WARM_UP + count):
        if number == WARM_UP:
            world.sleep(1)
            before = Held.now()
            counts.clear()
        cycle(world, servers[number % 10 == 0].url, dice, counts)
        if number % 500 == 499:
            say(f"    {number + 1} of {WARM_UP + count}")
    assert before is not None
    after = Held.settled(before, world.sleep)
    for server in servers:
        server.end()
    troubles = after.troubles(before) + [trouble for server in servers for trouble in server.troubles]
    return Finding("cycles", {"cycles": count, **after.figures(before), **counts}, troubles)


def tls(world: World, seconds: float) -> Finding:
    """One connection; two tasks at each end, one sending and one receiving as fast as they can."""
    client, server = world.pair(tls=True, client={"ping_interval": 1, "ping_timeout": 20})
    stop = world.clock() + seconds

    def send(ws: Any) -> int:
        count = 0
        while world.clock() < stop:
            ws.send(b"%d " % count + bytes(count * 131 % 30000))
            count += 1
            if count % 20 == 0:
                world.sleep(0)
        ws.send("end")
        return count

    def receive(ws: Any) -> int:
        count = 0
        while (message := ws.receive(30)) != "end":
            assert message == b"%d " % count + bytes(count * 131 % 30000), f"message {count} is another one"
            count += 1
        return count

    sending = [world.spawn(send, ws) for ws in (client, server)]
    receiving = [world.spawn(receive, ws) for ws in (server, client)]
    sent = [task.result(seconds + 60) for task in sending]
    received = [task.result(60) for task in receiving]
    troubles = [] if sent == received else [f"sent {sent}, received {received}"]
    if not (client.connected and server.connected):
        troubles.append(f"the connection ended with {client.close_reason} and {server.close_reason}")
    world.clean_up()
    return Finding("tls", {"seconds": seconds, "messages": sum(sent)}, troubles)


def traffic(world: World, seconds: float) -> Finding:
    """Eight conversations at a time, of every kind, until the time is over."""
    servers = [Echo(world, secure, ping_interval=0.5, ping_timeout=20, close_timeout=2) for secure in (False, True)]
    counts, troubles = Counter[str](), list[str]()

    def converse(seed: int, stop: float) -> None:
        dice = random.Random(seed)
        while world.clock() < stop and not troubles:
            try:
                talk(dice)
            except Exception as error:
                troubles.append(f"conversation of {seed}: {error!r}")

    def talk(dice: random.Random) -> None:
        secure = dice.random() < 0.4
        options: dict[str, Any] = {"ssl_context": client_context()} if secure else {}
        ws = Client.connect(
            servers[secure].url, compression=dice.random() < 0.5, ping_interval=dice.choice([None, 0.3]), ping_timeout=20,
            close_timeout=2, **options, **world.options,
        )  # fmt: skip
        counts["connections"] += 1
        for _ in range(dice.randrange(100)):
            batch = [
                os.urandom(size) if dice.random() < 0.5 else "\u2603" * (size // 3)
                for size in dice.choices(SIZES, k=dice.randrange(1, 4))
            ]
            for message in batch:
                ws.send(message)
            if dice.random() < 0.02:
                world.sleep(0.7)  # the keeper's turn
            for message in batch:
                while (got := ws.receive(dice.choice([None, 0, 0.05, 5]))) is None:
                    pass
                assert got == message, f"{len(message)} came back as {len(got)}"
                counts["messages"] += 1
            if dice.random() < 0.1:
                ws.ping(b"soak")
        ENDINGS[dice.choice(list(ENDINGS))](ws)

    def for_seconds(time: float, first: int) -> None:
        ends = []
        stop = world.clock() + time
        for seed in range(first, first + 8):
            ends.append(world.event())
            world.start(lambda seed=seed, end=ends[-1]: (converse(seed, stop), end.set()))  # type: ignore[misc]
        for end in ends:
            end.wait()

    warm_up = min(MOST_WARM_UP, seconds / 2)
    for_seconds(warm_up, 100)  # the allocator's and zlib's share
    world.sleep(3)
    before = Held.now()
    for_seconds(seconds - warm_up, 0)
    after = Held.settled(before, world.sleep)
    for server in servers:
        server.end()
        troubles += server.troubles
    return Finding("traffic", {"seconds": seconds, **counts, **after.figures(before)}, troubles + after.troubles(before))


PARTS = {"cycles": cycles, "tls": tls, "traffic": traffic}


def main(backend: str, part: str, amount: str) -> None:
    world = make_world(backend)
    PARTS[part](world, int(float(amount))).tell()


if __name__ == "__main__":
    main(*sys.argv[1:])
