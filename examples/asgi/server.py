"""An ASGI application that echoes what it gets over a WebSocket, at any path.

    python examples/asgi/server.py
    uvicorn --app-dir examples/asgi --port 5000 server:echo
    hypercorn --bind 127.0.0.1:5000 examples/asgi/server.py:echo

In Starlette or FastAPI it is mounted: app.mount("/echo", echo).  Talk to it with examples/aio_client/client.py.
"""

import argparse

from simple_websocket import AioServer, ConnectionClosed


async def echo(scope, receive, send):
    ws = await AioServer.accept(asgi=(scope, receive, send))
    try:
        while True:
            data = await ws.receive()
            await ws.send(data)
    except ConnectionClosed:
        pass


if __name__ == "__main__":
    import uvicorn

    parser = argparse.ArgumentParser(description="Echo over WebSocket, with uvicorn.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    uvicorn.run(echo, host=options.host, port=options.port, lifespan="off")
