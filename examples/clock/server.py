"""Tells the time, over and over, to everyone who connects; a WSGI application without a framework.

    python examples/clock/server.py

Whoever comes with plain HTTP gets an HTTP answer. Listen to it with client.py, next to this file.
"""

import argparse
import time
from http import HTTPStatus

from werkzeug.serving import run_simple

from simple_websocket import ConnectionClosed, ConnectionError, Server


def app(environ, start_response):
    try:
        with Server.accept(environ) as ws:  # leaving the block closes the connection
            for _ in range(options.ticks):
                ws.send(time.strftime("%H:%M:%S"))
                if ws.receive(timeout=options.interval) == "stop":
                    break
    except ConnectionError as error:  # no WebSocket request; nothing has been written so far
        status = HTTPStatus(error.status_code)
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "text/plain"), *error.headers])
        return [b"There is a clock here, for WebSocket clients.\n"]
    except ConnectionClosed:
        pass  # the client has gone
    start_response("200 OK", [])
    return []


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tell the time over WebSocket.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--ticks", type=int, default=10, help="how often (10)")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds from one to the next (1)")
    options = parser.parse_args()
    run_simple(options.host, options.port, app, threaded=True)
