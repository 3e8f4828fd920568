"""Flask-SocketIO: with threads and with gevent its WebSockets are this project's.

    python examples/flask_socketio/server.py
    python examples/flask_socketio/server.py --async-mode gevent
    gunicorn --chdir examples/flask_socketio --threads 100 --bind 127.0.0.1:5000 "server:create_app()"
    gunicorn --chdir examples/flask_socketio -k gevent --bind 127.0.0.1:5000 "server:create_app('gevent')"

Talk to it with client.py beside it. One worker process only: the rooms are in its memory.
"""

import argparse

from flask import Flask
from flask_socketio import SocketIO, emit

socketio = SocketIO()


@socketio.on("say")
def say(text):
    emit("said", text, broadcast=True)
    return len(text)  # the client's acknowledgement


def create_app(async_mode="threading"):
    app = Flask(__name__)
    # Without async_mode it takes eventlet if that is installed, then gevent, whatever the web server is.
    socketio.init_app(app, async_mode=async_mode)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tell everybody what anybody says, with Flask-SocketIO.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--async-mode", choices=["threading", "gevent"], default="threading")
    options = parser.parse_args()
    # Flask-SocketIO asks to be told that Flask's own server is wanted where there is no terminal; gevent's takes no such word.
    more = {"allow_unsafe_werkzeug": True} if options.async_mode == "threading" else {}
    socketio.run(create_app(options.async_mode), options.host, options.port, **more)
