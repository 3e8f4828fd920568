"""A Bottle application that echoes what it gets over a WebSocket.

    python examples/bottle/server.py
    gunicorn --chdir examples/bottle --threads 100 --bind 127.0.0.1:5000 server:app
    gunicorn --chdir examples/bottle -k gevent --bind 127.0.0.1:5000 server:app

Talk to it with examples/client/client.py.
"""

import argparse

from bottle import Bottle, HTTPResponse, request

from simple_websocket import ConnectionClosed, ConnectionError, Server

app = Bottle()


@app.get("/echo")
def echo():
    try:
        ws = Server.accept(request.environ)
    except ConnectionError as error:  # no WebSocket handshake: nothing is written yet, so answer as usual
        return HTTPResponse(str(error), error.status_code, dict(error.headers))
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed:
        pass
    return ""  # nothing of it reaches the client


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo over WebSocket, with Bottle under Gunicorn.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    app.run(server="gunicorn", host=options.host, port=options.port, threads=100)
