"""Says what is typed, and prints what anybody says.

python examples/flask_socketio/client.py
"""

import argparse

import socketio


def main(port):
    # The WebSocket from the start, instead of an upgrade from long polling.
    with socketio.SimpleClient() as client:
        client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
        while True:
            try:
                text = input("> ")
            except (EOFError, KeyboardInterrupt):
                return
            client.emit("say", text)
            event, said = client.receive(timeout=5)
            print("<", said)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Talk to the Flask-SocketIO example.")
    parser.add_argument("--port", type=int, default=5000)
    main(parser.parse_args().port)
