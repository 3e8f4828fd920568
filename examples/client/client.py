"""Sends what you type to an echo server, and prints what comes back.

    python examples/client/client.py

Ends with Ctrl-D or Ctrl-C, or when the server goes. A server to talk to: examples/flask/server.py.
"""

import argparse

from simple_websocket import Client, ConnectionClosed


def main():
    parser = argparse.ArgumentParser(description="Talk to an echo server.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    ws = Client.connect(f"ws://{options.host}:{options.port}/echo")
    try:
        while True:
            ws.send(input("> "))
            print(f"< {ws.receive()}")
    except (KeyboardInterrupt, EOFError, ConnectionClosed):
        ws.close()


if __name__ == "__main__":
    main()
