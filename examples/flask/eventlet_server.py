"""The Flask application of server.py under eventlet's web server: a green thread for each connection.

    python examples/flask/eventlet_server.py

eventlet gets bug fixes only; for something new take gevent_server.py.
"""
# ruff: noqa: E402 - patching comes before the other imports, or they keep what blocks

import eventlet

eventlet.monkey_patch()

import argparse

import eventlet.wsgi
from server import app

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo over WebSocket, with eventlet.wsgi.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    print(f"ws://{options.host}:{options.port}/echo, Ctrl-C to stop", flush=True)
    eventlet.wsgi.server(eventlet.listen((options.host, options.port)), app)
