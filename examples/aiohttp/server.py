"""An aiohttp application that echoes what it gets over a WebSocket.

    python examples/aiohttp/server.py

Talk to it with examples/aio_client/client.py or examples/client/client.py.
"""

import argparse

from aiohttp import web

from simple_websocket import AioServer, ConnectionClosed

app = web.Application()


async def echo(request):
    ws = await AioServer.accept(aiohttp=request)
    try:
        while True:
            data = await ws.receive()
            await ws.send(data)
    except ConnectionClosed:
        pass
    return web.Response(text="")  # aiohttp wants a response; nothing of it reaches the client


app.add_routes([web.get("/echo", echo)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo over WebSocket, with aiohttp.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    web.run_app(app, host=options.host, port=options.port)
