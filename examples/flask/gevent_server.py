"""The Flask application of server.py under gevent's web server: a greenlet for each connection.

    python examples/flask/gevent_server.py
"""
# ruff: noqa: E402 - patching comes before the other imports, or they keep what blocks

from gevent import monkey

monkey.patch_all()

import argparse

from gevent.pywsgi import WSGIServer
from server import app

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo over WebSocket, with gevent.pywsgi.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    print(f"ws://{options.host}:{options.port}/echo, Ctrl-C to stop", flush=True)
    try:
        WSGIServer((options.host, options.port), app).serve_forever()
    except KeyboardInterrupt:
        pass
