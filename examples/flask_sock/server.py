"""Flask-Sock: its connections are this project's.

    python examples/flask_sock/server.py
    gunicorn --chdir examples/flask_sock --threads 100 --bind 127.0.0.1:5000 server:app
    gunicorn --chdir examples/flask_sock -k gevent --bind 127.0.0.1:5000 server:app

Talk to it with examples/client/client.py.
"""

import argparse

from flask import Flask
from flask_sock import Sock

app = Flask(__name__)
# Every argument of simple_websocket.Server.
app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25, "max_message_size": 1024 * 1024}
sock = Sock(app)


@sock.route("/echo")
def echo(ws):
    while True:  # Flask-Sock catches ConnectionClosed, and closes the connection when the function returns
        ws.send(ws.receive())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo over WebSocket, with Flask-Sock.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    app.run(options.host, options.port)
