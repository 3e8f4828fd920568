"""Says what you type, and shows what the others say, until the end of the input or of the connection.

    python examples/serve/client.py NAME
"""

import argparse
import sys
import threading

from simple_websocket import Client, ConnectionClosed


def listen(ws):
    for message in ws:
        print(message, flush=True)
    print(f"closed: {ws.close_reason}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Chat.")
    parser.add_argument("name")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    with Client.connect(f"ws://{options.host}:{options.port}/") as ws:
        listener = threading.Thread(target=listen, args=(ws,))
        listener.start()
        try:
            for line in sys.stdin:
                ws.send(f"{options.name}: {line.rstrip()}")
        except ConnectionClosed:
            pass
    listener.join()
