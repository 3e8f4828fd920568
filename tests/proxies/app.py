"""The application behind the proxies, with Werkzeug's ProxyFix as docs/proxies.rst shows it.

A WebSocket's `?id=` names it; when it is over, `/ended?id=` tells its close code. `?ping=` is its ping_interval.
"""

import json
import os

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from simple_websocket import ConnectionClosed, ConnectionError, Server

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)

ended = {}

# Where /ledger writes down what it has received and what it has sent; one file for all workers.
ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT) if "LEDGER" in os.environ else None


def accept():
    return Server.accept(request.environ, ping_interval=request.args.get("ping", type=float))


def remember(closed):
    if "id" in request.args:
        ended[request.args["id"]] = int(closed.reason)


@app.route("/")
def index():
    return "plain HTTP"


@app.route("/ended")
def tell_ended():
    return json.dumps(ended.get(request.args["id"]))


@app.route("/echo", websocket=True)
def echo():
    ws = accept()
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed as closed:
        remember(closed)
    return ""


@app.route("/tell", websocket=True)
def tell():
    """Send a number of small messages, the next one only when the last one has arrived, and say nothing in between."""
    ws = accept()
    try:
        for number in range(request.args.get("count", type=int)):
            ws.send(f"{number}")
            ws.receive()
        ws.close()
    except ConnectionClosed as closed:
        remember(closed)
    return ""


@app.route("/request", websocket=True)
def tell_request():
    """What arrived of the request, as it came and as ProxyFix makes it."""
    ws = accept()
    ws.send(
        json.dumps(
            {
                "headers": {name: value for name, value in request.environ.items() if name.startswith("HTTP_X_")},
                "url": request.url,
                "remote": request.remote_addr,
            }
        )
    )
    ws.close()
    return ""


@app.route("/forbidden", websocket=True)
def forbidden():
    return Response("not you", 403, {"X-Reason": "a test"})


@app.route("/strict", websocket=True)
def strict():
    """Answer with HTTP what is no valid opening handshake."""
    try:
        accept().close()
    except ConnectionError as error:
        return Response(str(error), error.status_code, headers=error.headers)
    return ""


@app.route("/ledger", websocket=True)
def keep_ledger():
    """Echo with this process's number, and keep a ledger of what has come and of what send() has taken."""
    ws = accept()
    try:
        while True:
            name = ws.receive()
            write_down("received", name)
            ws.send(f"{name} {os.getpid()}")
            write_down("sent", name)
    except ConnectionClosed as closed:
        remember(closed)
    return ""


def write_down(what, name):
    os.write(ledger, f"{what} {name}\n".encode())  # a line at a time: O_APPEND keeps the workers' lines apart
