"""The soak of asyncio: `python -m soak.aio asyncio PART AMOUNT`, with the parts of ``soak/sync.py``."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from aiohttp import web

from simple_websocket import AioClient, AioServer, ConnectionClosed, ConnectionError
from tests.support.world import certificate, client_context

from .report import PATIENCE, Finding, Held, say
from .sync import MOST_WARM_UP, SIZES, WARM_UP


class Echo:
    """aiohttp with a server of echoes, plain and TLS; a connection ends as its message says."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.troubles: list[str] = []
        self.open = 0

    async def start(self) -> None:
        import ssl

        app = web.Application()
        app.router.add_get("/", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate().configure_cert(context)
        for number, secure in enumerate((None, context)):
            await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=secure, backlog=128).start()
            self.urls.append(f"{'wss' if secure else 'ws'}://127.0.0.1:{self._runner.addresses[number][1]}/")

    async def _serve(self, request: web.Request) -> web.Response:
        self.open += 1
        try:
            ws = await AioServer.accept(aiohttp=request, close_timeout=2, ping_interval=0.5, ping_timeout=20)
            async for message in ws:
                if message == "close":
                    await ws.close(4000)
                elif message == "leave":
                    break
                else:
                    await ws.send(message)
        except (ConnectionClosed, ConnectionError):
            pass
        except Exception as error:
            self.troubles.append(f"server: {error!r}")
        finally:
            self.open -= 1
        return web.Response()

    async def stop(self) -> None:
        await self._runner.cleanup()


async def reset(ws: AioClient) -> None:
    transport = ws._link._transport  # type: ignore[union-attr]
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def fail(ws: AioClient) -> None:
    with suppress(ZeroDivisionError):
        async with ws:
            raise ZeroDivisionError


async def forget(ws: AioClient) -> None:
    """Leave it to the garbage collector."""


async def close_twice(ws: AioClient) -> None:
    await ws.close()
    await ws.close(4001)


def be_closed(word: str) -> Any:
    async def end(ws: AioClient) -> None:
        with suppress(ConnectionClosed):
            await ws.send(word)
            while True:
                await ws.receive(10)

    return end


ENDINGS = {
    "close": AioClient.close, "close twice": close_twice, "server closes": be_closed("close"),
    "server leaves": be_closed("leave"), "reset": reset, "error": fail, "forgotten": forget,
}  # fmt: skip


async def converse(urls: list[str], dice: random.Random, counts: Counter[str], longest: int) -> None:
    """One connection: some echoes, one ending."""
    secure = dice.random() < 0.2
    options: dict[str, Any] = {"ssl_context": client_context()} if secure else {}
    ws = await AioClient.connect(
        urls[secure], compression=dice.random() < 0.5, ping_interval=dice.choice([None, 0.3]), ping_timeout=20, close_timeout=2,
        **options,
    )  # fmt: skip
    counts["connections"] += 1
    for _ in range(dice.randrange(longest)):
        size = dice.choice(SIZES if longest > 3 else SIZES[:6])
        message = os.urandom(size) if dice.random() < 0.5 else "\u2603" * (size // 3)
        await ws.send(message)
        while (got := await ws.receive(dice.choice([None, 0, 0.05, 20]))) is None:
            pass
        assert got == message, f"{len(message)} came back as {len(got)}"
        counts["messages"] += 1
        if dice.random() < 0.1:
            await ws.ping(b"soak")
    name = dice.choice(list(ENDINGS))
    counts[name] += 1
    await ENDINGS[name](ws)


async def settle(before: Held) -> Held:
    deadline = time.monotonic() + PATIENCE
    while (now := Held.now()).troubles(before) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    return now


async def cycles(echo: Echo, count: int) -> Finding:
    dice, counts = random.Random(count), Counter[str]()
    before = None
    for number in range(WARM_UP + count):
        if number == WARM_UP:
            await asyncio.sleep(3)
            before = Held.now()
            counts.clear()
        await converse(echo.urls, dice, counts, 3)
        if number % 500 == 499:
            say(f"    {number + 1} of {WARM_UP + count}")
    assert before is not None
    after = await settle(before)
    return Finding("cycles", {"cycles": count, **after.figures(before), **counts}, after.troubles(before) + echo.troubles)


async def tls(echo: Echo, seconds: float) -> Finding:
    """One connection: one task sends as fast as it can, one receives; the server echoes, so both directions are full."""
    ws = await AioClient.connect(echo.urls[1], ssl_context=client_context(), ping_interval=1, ping_timeout=20)
    stop = time.monotonic() + seconds
    sent = received = 0

    async def send() -> None:
        nonlocal sent
        while time.monotonic() < stop:
            await ws.send(b"%d " % sent + bytes(sent * 131 % 30000))
            sent += 1
            if sent - received > 200:
                await asyncio.sleep(0)
        await ws.send("end")

    sending = asyncio.ensure_future(send())
    while (message := await ws.receive(30)) != "end":
        assert message == b"%d " % received + bytes(received * 131 % 30000), f"message {received} is another one"
        received += 1
    await sending
    await ws.close()
    return Finding(
        "tls", {"seconds": seconds, "messages": sent + received}, [] if sent == received else [f"{sent} sent, {received} back"]
    )


async def traffic(echo: Echo, seconds: float) -> Finding:
    counts, troubles = Counter[str](), list[str]()

    async def repeat(seed: int, stop: float) -> None:
        dice = random.Random(seed)
        while time.monotonic() < stop and not troubles:
            try:
                await converse(echo.urls, dice, counts, 100)
            except Exception as error:
                troubles.append(f"conversation of {seed}: {error!r}")

    async def for_seconds(seconds: float, first: int) -> None:
        stop = time.monotonic() + seconds
        await asyncio.gather(*(repeat(seed, stop) for seed in range(first, first + 16)))

    warm_up = min(MOST_WARM_UP, seconds / 2)
    await for_seconds(warm_up, 100)  # the allocator's and zlib's share
    await asyncio.sleep(3)
    before = Held.now()
    await for_seconds(seconds - warm_up, 0)
    after = await settle(before)
    troubles += after.troubles(before) + echo.troubles
    return Finding("traffic", {"seconds": seconds, **counts, **after.figures(before)}, troubles)


PARTS = {"cycles": cycles, "tls": tls, "traffic": traffic}


async def run(part: str, amount: int) -> None:
    echo = Echo()
    await echo.start()
    finding = await PARTS[part](echo, amount)
    await echo.stop()
    finding.tell()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[2], int(float(sys.argv[3]))))
