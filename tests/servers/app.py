"""The application that every server of the tests runs: WebSocket routes that do one thing each.

A route's `?id=` names a request; when the server is done with it, `/ended?id=` tells how its WebSocket ended.
"""

import gc
import hashlib
import json
import os
import signal
import socket
import threading
import weakref

from flask import Flask, Response, request

from simple_websocket import ConnectionClosed, ConnectionError, Server
from simple_websocket.link import Link

app = Flask(__name__)

ended = {}


@app.after_request
def remember(response):
    key = request.args.get("id")
    if key and request.path != "/ended":
        reason = getattr(request, "close_reason", None)
        if "Cheroot" in request.environ.get("SERVER_SOFTWARE", ""):
            ended[key] = reason  # it forgets to close a response that it could not write
        else:
            response.call_on_close(lambda: ended.__setitem__(key, reason))
            # Werkzeug does not close it when it finds, behind the end, that the client has reset the connection.
            weakref.finalize(response, ended.setdefault, key, reason)
    return response


def route(path):
    return app.route(path, websocket=True)


@app.route("/")
def index():
    return "plain HTTP"


@app.route("/ended")
def tell_ended():
    key = request.args["id"]
    return json.dumps([ended[key]] if key in ended else None)


@app.route("/resources")
def tell_resources():
    """What this process holds: descriptors, threads that are not a server's pool, and connections."""
    gc.collect()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len([thread for thread in threading.enumerate() if not thread.name.startswith("ThreadPool")]),
        "connections": sum(type(thing) is Link for thing in gc.get_objects()),
    }


@app.route("/pid")
def tell_pid():
    return str(os.getpid())


@app.route("/connection-count")
def tell_connection_count():
    """What a gunicorn gthread worker believes to have open."""
    worker = signal.getsignal(signal.SIGTERM).__self__
    return json.dumps(worker.nr_conns)


@route("/echo")
def echo():
    ws = Server.accept(request.environ)
    try:
        while True:
            data = ws.receive()
            ws.send(data)
    except ConnectionClosed as closed:
        request.close_reason = int(closed.reason)
    return ""


@route("/hang-up")
def hang_up():
    """Say goodbye at the first message."""
    ws = Server.accept(request.environ)
    ws.receive()
    ws.close(4001, "enough")
    request.close_reason = int(ws.close_reason)
    return ""


@route("/leave")
def leave():
    """Return with the connection open."""
    Server.accept(request.environ).send("bye")
    return ""


class OnPurpose(Exception):
    pass


@app.errorhandler(OnPurpose)
def on_purpose(error):
    return "failed on purpose", 500


@route("/fail")
def fail():
    with Server.accept(request.environ) as ws:
        ws.receive()
        raise OnPurpose


@route("/raise")
def raise_with_the_connection_open():
    """The connection lives on in the traceback, while the framework answers with an error page."""
    ws = Server.accept(request.environ)
    ws.receive()
    raise OnPurpose


kept = {}


@route("/keep")
def keep():
    """Return with the connection open, and with somebody else who holds it."""
    ws = kept[request.args["id"]] = Server.accept(request.environ)
    ws.send("kept")
    return "this must not get into the WebSocket"


@app.route("/kept")
def tell_kept():
    ws = kept.pop(request.args["id"])
    return json.dumps([ws.connected, ws.close_reason])


@route("/report")
def report():
    """Tell what was found."""
    ws = Server.accept(request.environ)
    sock = socket_of(ws)
    found = {
        "mode": ws.mode,
        "backend": backend_of(ws).name,
        "nodelay": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0,
        "server": request.environ.get("SERVER_SOFTWARE", ""),
    }
    ws.send(json.dumps(found))
    ws.close()
    return ""


@route("/busy")
def busy():
    """Be busy with something else than this connection, for as long as it lives and three seconds at most."""
    ws = Server.accept(request.environ)
    ws.send("busy")
    for _ in range(150):
        if not ws.connected:
            break
        backend_of(ws).sleep(0.02)
    request.close_reason = ws.close_reason
    return ""


@route("/exchange")
def exchange():
    """Send a large message to somebody who may be slow, then take one and tell its digest."""
    ws = Server.accept(request.environ)
    ws.send(b"\xa5" * int(request.args["size"]))
    answer = ws.receive()
    ws.send(f"{len(answer)} {hashlib.sha256(answer).hexdigest()}")
    try:
        ws.receive()
    except ConnectionClosed as closed:
        request.close_reason = int(closed.reason)
    return ""


def careful():
    """Answer with HTTP what is no valid handshake."""
    try:
        ws = Server.accept(request.environ)
    except ConnectionError as error:
        return Response(str(error), error.status_code, headers=error.headers)
    ws.close()
    return ""


# A request without an Upgrade header and one with it are two routes to Werkzeug.
app.add_url_rule("/careful", "careful", careful, websocket=True)
app.add_url_rule("/careful", "careful_http", careful)


@route("/mixed")
def mixed():
    """Ask for something that cannot be had."""
    try:
        Server.accept(request.environ, backend="no such backend")
    except ValueError as error:
        return type(error).__name__, 409
    return ""


@route("/own-socket")
def own_socket():
    """What is to be done on a server that the library does not know."""
    ws = Server.accept(request.environ, sock=request.environ["own.socket"])
    ws.send(ws.mode)
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed as closed:
        request.close_reason = int(closed.reason)
    return ""


def socket_of(ws):
    # Neither is part of the public surface: nobody but a test needs to know.
    return ws._link.sock


def backend_of(ws):
    return ws._link._keeper.backend
