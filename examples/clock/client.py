"""Prints every message that comes from a server, until the connection ends.

    python examples/clock/client.py
"""

import argparse

from simple_websocket import Client

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Listen to the clock.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    with Client.connect(f"ws://{options.host}:{options.port}/") as ws:
        for message in ws:
            print(message, flush=True)
        print(f"closed by the server: {ws.close_reason} {ws.close_message or ''}".rstrip())
