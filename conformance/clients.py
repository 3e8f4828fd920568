"""One echo client, for one mode: `python -m conformance.clients KIND URL AGENT LIMIT [OPTION ...]`.

Asks the suite's fuzzing server how many cases there are, runs one after another, and has the reports written.  A process of
its own, which ends after LIMIT seconds whatever it is doing.  Connections have the library's defaults, so that compression
is offered, and nothing is limited.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

# Seconds for the opening handshake: the suite is single-threaded, and may be busy with what the case before has left.
OPEN_TIMEOUT = 60.0
REPORT_TIMEOUT = 300.0


def sync(url: str, agent: str, options: list[str]) -> None:
    """`Client`, on the backend that is named."""
    from simple_websocket import Client, ConnectionClosed

    backend = options[0]

    def connect(path: str) -> Client:
        return Client.connect(url + path, backend=backend, open_timeout=OPEN_TIMEOUT)

    with connect("/getCaseCount") as ws:
        count = int(ws.receive(REPORT_TIMEOUT) or 0)
    for number in range(1, count + 1):
        try:
            ws = connect(f"/runCase?case={number}&agent={agent}")
        except (OSError, RuntimeError) as error:  # RuntimeError: the library's, for a handshake that failed
            print(f"case {number} of {count}: {error!r}", flush=True)
            continue
        try:
            while True:
                ws.send(ws.receive())
        except ConnectionClosed:
            pass
    ws = connect(f"/updateReports?agent={agent}")
    try:
        ws.receive(REPORT_TIMEOUT)
    except ConnectionClosed:
        pass


def aio(url: str, agent: str, options: list[str]) -> None:
    """`AioClient`."""
    asyncio.run(_aio(url, agent))


async def _aio(url: str, agent: str) -> None:
    from simple_websocket import AioClient, ConnectionClosed

    async def connect(path: str) -> Any:
        return await AioClient.connect(url + path, open_timeout=OPEN_TIMEOUT)

    async with await connect("/getCaseCount") as ws:
        count = int(await ws.receive(REPORT_TIMEOUT) or 0)
    for number in range(1, count + 1):
        try:
            ws = await connect(f"/runCase?case={number}&agent={agent}")
        except (OSError, RuntimeError) as error:
            print(f"case {number} of {count}: {error!r}", flush=True)
            continue
        try:
            while True:
                await ws.send(await ws.receive())
        except ConnectionClosed:
            pass
    ws = await connect(f"/updateReports?agent={agent}")
    try:
        await ws.receive(REPORT_TIMEOUT)
    except ConnectionClosed:
        pass


KINDS = {"sync": sync, "aio": aio}


if __name__ == "__main__":
    kind, url, agent, limit, *options = sys.argv[1:]
    signal.alarm(int(limit))
    KINDS[kind](url, agent, options)
