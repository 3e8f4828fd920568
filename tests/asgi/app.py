"""The application that every ASGI server runs: ASGI callables mounted in a Starlette application, as users do it.

What a handler found out is told at /results/NAME, with the name that the client gave as ?name=.
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute

from simple_websocket import AioServer, ConnectionClosed

results: dict[str, object] = {}


def tell(scope, result):
    results[parse_qs(scope["query_string"].decode())["name"][0]] = result


async def outcome(call):
    """How a call ended, as JSON can say it."""
    try:
        return await call
    except ConnectionClosed as error:
        return {"closed": error.reason, "message": error.message}
    except Exception as error:
        return {"error": repr(error)}


async def echo(scope, receive, send):
    ws = await AioServer.accept(asgi=(scope, receive, send), subprotocols=["one", "two"], response_headers={"X-Mine": "yes"})
    try:
        while True:
            await ws.send(await ws.receive())
    except ConnectionClosed:
        pass


async def iterate(scope, receive, send):
    async with await AioServer.accept(asgi=(scope, receive, send)) as ws:
        async for message in ws:
            await ws.send(message)
        tell(scope, {"reason": ws.close_reason, "message": ws.close_message, "connected": ws.connected})


async def closing(scope, receive, send):
    """Close while another task receives; afterwards everything raises, every time."""
    ws = await AioServer.accept(asgi=(scope, receive, send))
    waiting = [asyncio.ensure_future(outcome(ws.receive())) for _ in range(3)]
    await asyncio.sleep(0)
    await ws.close(4001, "why")
    await ws.close(4002)
    found = await asyncio.gather(*waiting)
    found += [await outcome(ws.receive()), await outcome(ws.receive(0)), await outcome(ws.send("x"))]
    tell(scope, found)


async def disconnected(scope, receive, send):
    """Receive until the client has gone, and send afterwards."""
    ws = await AioServer.accept(asgi=(scope, receive, send))
    waiting = [asyncio.ensure_future(outcome(ws.receive())) for _ in range(3)]
    found = await asyncio.gather(*waiting)
    found += [await outcome(ws.receive()), await outcome(ws.send("x")), await outcome(ws.send(b"x")), await outcome(ws.close())]
    tell(scope, found)


async def sending(scope, receive, send):
    """Only send, until the client has gone."""
    ws = await AioServer.accept(asgi=(scope, receive, send))
    for _ in range(2000):
        found = await outcome(ws.send("tick"))
        if found is not None:
            break
        await asyncio.sleep(0.005)
    tell(scope, [found, await outcome(ws.send("x")), await outcome(ws.receive())])


async def timeouts(scope, receive, send):
    ws = await AioServer.accept(asgi=(scope, receive, send))
    found = [await ws.receive(0), await ws.receive(0.05)]
    await ws.send("go")
    found += [await ws.receive(5)]
    while (message := await ws.receive(0)) is None:  # polling alone has to be enough
        await asyncio.sleep(0.001)
    found.append(message)
    tell(scope, found)
    await ws.close()


async def cancelling(scope, receive, send):
    """Give up waiting again and again, and lose nothing."""
    ws = await AioServer.accept(asgi=(scope, receive, send))
    found = []
    while len(found) < 200:
        call = asyncio.ensure_future(ws.receive(None if len(found) % 2 else 0.001))
        for _ in range(1 + len(found) % 7):  # not at all begun is not given up
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        if not call.cancelled() and call.result() is not None:
            found.append(call.result())
    await ws.send("all")
    tell(scope, found == [str(number) for number in range(200)])
    await ws.close()


async def limited(scope, receive, send):
    ws = await AioServer.accept(asgi=(scope, receive, send), max_message_size=1000)
    tell(scope, [await outcome(ws.receive()), await outcome(ws.receive()), await outcome(ws.receive())])


async def returning(scope, receive, send):
    await AioServer.accept(asgi=(scope, receive, send))


async def denying(scope, receive, send):
    await AioServer.reject(asgi=(scope, receive, send), status_code=401, headers={"X-Why": "because"}, body=b"no entry")


async def pinging(scope, receive, send):
    async with await AioServer.accept(asgi=(scope, receive, send), ping_interval=0.1) as ws:
        await ws.send(await outcome(ws.ping()))


async def senders(scope, receive, send):
    """Several tasks send large messages at the same time."""
    ws = await AioServer.accept(asgi=(scope, receive, send))

    async def work(number):
        for count in range(10):
            await ws.send(bytes([number, count]) * 30_000)

    await asyncio.gather(*(work(number) for number in range(5)))
    await ws.receive(10)
    await ws.close()


class Endpoint:
    """An ASGI application that is no function: what WebSocketRoute takes as it is."""

    async def __call__(self, scope, receive, send):
        await echo(scope, receive, send)


async def result(request):
    return JSONResponse({"result": results.get(request.path_params["name"])})


HANDLERS = [
    echo, iterate, closing, disconnected, sending, timeouts, cancelling, limited, returning, denying, pinging, senders,
]  # fmt: skip

app = Starlette(
    routes=[
        Route("/results/{name}", result),
        WebSocketRoute("/endpoint", Endpoint()),
        *(Mount(f"/{handler.__name__}", app=handler) for handler in HANDLERS),
    ]
)
