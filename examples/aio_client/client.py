"""Sends what you type to an echo server, and prints what comes back; with asyncio.

    python examples/aio_client/client.py

Ends with Ctrl-D or Ctrl-C, or when the server goes. A server to talk to: examples/aiohttp/server.py.
"""

import argparse
import asyncio

from simple_websocket import AioClient, ConnectionClosed


async def main():
    parser = argparse.ArgumentParser(description="Talk to an echo server.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    ws = await AioClient.connect(f"ws://{options.host}:{options.port}/echo")
    try:
        while True:
            data = input("> ")
            await ws.send(data)
            data = await ws.receive()
            print(f"< {data}")
    except (KeyboardInterrupt, EOFError, ConnectionClosed):
        await ws.close()


if __name__ == "__main__":
    asyncio.run(main())
