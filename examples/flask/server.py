"""A Flask application that echoes what it gets over a WebSocket.

    python examples/flask/server.py
    flask --app examples/flask/server.py run
    gunicorn --chdir examples/flask --threads 100 --bind 127.0.0.1:5000 server:app

Talk to it with examples/client/client.py. The same application under other servers: gevent_server.py, eventlet_server.py.
"""

import argparse

from flask import Flask, request

from simple_websocket import ConnectionClosed, Server

app = Flask(__name__)


@app.route("/echo", websocket=True)
def echo():
    ws = Server.accept(request.environ)
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed:
        pass
    return ""  # Flask wants a response; nothing of it reaches the client


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo over WebSocket, with Flask's own server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    app.run(options.host, options.port)
