"""A Falcon resource that echoes what it gets over a WebSocket.

    python examples/falcon/server.py
    gunicorn --chdir examples/falcon --threads 100 --bind 127.0.0.1:5000 server:app
    gunicorn --chdir examples/falcon -k gevent --bind 127.0.0.1:5000 server:app

Talk to it with examples/client/client.py.
"""

import argparse
import os
import sys

import falcon

from simple_websocket import ConnectionClosed, ConnectionError, Server


class Echo:
    def on_get(self, request, response):
        try:
            ws = Server.accept(request.env)
        except ConnectionError as error:  # no WebSocket handshake: nothing is written yet, so answer as usual
            raise falcon.HTTPError(error.status_code, description=str(error), headers=error.headers) from None
        try:
            while True:
                ws.send(ws.receive())
        except ConnectionClosed:
            pass  # what Falcon answers now does not reach the client


app = falcon.App()
app.add_route("/echo", Echo())

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo over WebSocket, with Falcon under Gunicorn.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    where = ["--chdir", os.path.dirname(os.path.abspath(__file__)), "--bind", f"{options.host}:{options.port}"]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *where, "--threads", "100", "server:app"])
