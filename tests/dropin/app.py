"""The application of this suite: Flask-Sock, Flask-SocketIO and python-engineio as they come from the registry, in one process.

    /...          Flask-Sock, a route for each way to end
    /configured/  Flask-Sock with SOCK_SERVER_OPTIONS
    /socket.io/   Flask-SocketIO
    /engine.io/   python-engineio, without a framework

The environment variable ASYNC_MODE is python-engineio's `async_mode`.
"""

import logging
import os
import sys
import threading

import engineio
import flask_sock
from flask import Blueprint, Flask, jsonify, request
from flask_sock import Sock
from flask_socketio import Namespace, SocketIO, disconnect, emit, join_room, leave_room
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import simple_websocket

ASYNC_MODE = os.environ["ASYNC_MODE"]

# With it python-engineio's gevent mode would leave WebSockets to it; and `make bench` installs it into the same venv.
sys.modules["geventwebsocket"] = None

app = Flask(__name__)
configured = Flask(f"{__name__}.configured")
configured.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": ["chat", "echo"], "max_message_size": 1000, "ping_interval": 0.2}


# Flask-Sock


class OnPurpose(Exception):
    pass


@app.errorhandler(OnPurpose)
def on_purpose(error):
    return "failed on purpose", 500


sock = Sock(app)
later = Sock()


def echo(ws):
    while True:
        ws.send(ws.receive())


sock.route("/echo")(echo)
later.route("/echo")(echo)
later.init_app(configured)


@sock.route("/returns")
def returns(ws):
    ws.send(ws.receive())


@sock.route("/raises")
def raises(ws):
    ws.receive()
    raise OnPurpose


@sock.route("/closes")
def closes(ws):
    ws.receive()
    ws.close(4001, "enough")


@sock.route("/closes-and-goes-on")
def closes_and_goes_on(ws):
    ws.close(4002, "too much")
    ws.send("nobody gets this")


@sock.route("/mode")
def mode(ws):
    ws.send(ws.mode)


parts = Blueprint("parts", __name__, url_prefix="/parts")


@sock.route("/<name>/<int:number>", bp=parts)
def part(ws, name, number):
    ws.send(f"{name} {number}")


app.register_blueprint(parts)


@app.route("/")
def index():
    return "plain HTTP"


# Flask-SocketIO and python-engineio


class Judging(logging.Formatter):
    """Cuts the packets short, and tells apart what is part of a test and what the servers put up with silently."""

    def format(self, record):
        if "Unexpected error" in record.msg and "timed out" not in record.args:  # eventlet.websocket's way to end after pings
            record.levelname = "ERROR"
        elif record.msg == "Application rejected connection":
            record.levelname = "INFO"
        return super().format(record)[:300]


handler = logging.StreamHandler()
handler.setFormatter(Judging("[%(levelname)s] %(message)s"))
logger = logging.getLogger("dropin")
logger.setLevel(logging.INFO)
logger.addHandler(handler)

socketio = SocketIO(app, async_mode=ASYNC_MODE, logger=logger, engineio_logger=logger)
left = {}


@socketio.on("connect")
def connected(auth):
    if auth == {"password": "wrong"}:
        return False
    emit("welcome", {"auth": auth})


@socketio.on("disconnect")
def disconnected(reason):
    left[request.sid] = reason


@socketio.on("echo")
def echo_event(*arguments):
    emit("echo", arguments)


@socketio.on("acknowledged")
def acknowledged(*arguments):
    return ("got", *arguments)


@socketio.on("ask me")
def ask_me(question):
    def answered(*answer):
        socketio.emit("you said", answer, to=sid)

    sid = request.sid
    emit("question", question, callback=answered)


@socketio.on("join")
def join(room):
    join_room(room)


@socketio.on("leave")
def leave(room):
    leave_room(room)


@socketio.on("tell")
def tell(room, news):
    emit("news", news, to=room)


@socketio.on("ticks")
def ticks(number):
    def run():
        for tick in range(number):
            socketio.sleep(0.01)
            socketio.emit("tick", tick, to=sid)

    sid = request.sid
    socketio.start_background_task(run)


@socketio.on("throw me out")
def throw_me_out():
    disconnect()


class Shouting(Namespace):
    def on_say(self, text):
        return text.upper()


socketio.on_namespace(Shouting("/shouting"))


@app.route("/left/<sid>")
def how_it_left(sid):
    return jsonify(left.get(sid))


PING_INTERVAL, PING_TIMEOUT = 0.3, 1.5  # seconds

eio = engineio.Server(async_mode=ASYNC_MODE, ping_interval=PING_INTERVAL, ping_timeout=PING_TIMEOUT, logger=logger)


@eio.on("connect")
def eio_connect(sid, environ):
    return "refuse=1" not in environ["QUERY_STRING"]


@eio.on("message")
def eio_message(sid, data):
    if data == "leave me alone":
        eio.disconnect(sid)
    else:
        eio.send(sid, data)


@eio.on("disconnect")
def eio_disconnect(sid, reason):
    left[sid] = reason


# What the tests ask for


@app.route("/identity")
def identity():
    """Which code runs here."""
    transport = eio._async["websocket"]
    return {
        "file": simple_websocket.__file__,
        "flask_sock": flask_sock.Server is simple_websocket.Server,
        "async_mode": [eio.async_mode, socketio.async_mode],
        "transport": [kind.__module__ for kind in transport.__mro__],
    }


# In this mode they use eventlet.websocket.  Its writer closes the socket that its reader waits for, which eventlet's hub does not
# tell the reader: that sits there for 45 seconds, unless a new connection happens to get the same descriptor.
NOT_OURS = ("/socket.io/", "/engine.io/") if ASYNC_MODE == "eventlet" else ()


class Counting:
    """Counts the WebSocket requests that the application has not answered, of those that are this project's."""

    def __init__(self, application):
        self.application = application
        self.running = 0
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/running":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(self.running).encode()]
        if "HTTP_UPGRADE" not in environ or environ["PATH_INFO"].startswith(NOT_OURS):
            return self.application(environ, start_response)
        self.count(1)
        try:
            return self.application(environ, start_response)
        finally:
            self.count(-1)

    def count(self, number):
        with self.lock:
            self.running += number


app.wsgi_app = Counting(engineio.WSGIApp(eio, DispatcherMiddleware(app.wsgi_app, {"/configured": configured})))
