"""One echo server, for one mode: `python -m conformance.servers KIND PORT LIMIT [OPTION ...]`.

A process of its own, which ends after LIMIT seconds whatever it is doing.  Connections have the library's defaults, so that
compression is on, and nothing is limited.  Every request without an Upgrade header is answered with a word of plain HTTP,
by which one sees that the server is there.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from typing import Any

HOST = "127.0.0.1"
APP = "conformance.servers"

# What Server.mode has to be, so that a mode cannot be run on something else.
EXPECTED_MODE = {"werkzeug": "werkzeug", "gunicorn": "gunicorn", "pywsgi": "gevent", "eventlet": "eventlet", "sock": "custom"}

_PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\necho"


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """WSGI application: echo."""
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        echo(environ)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"echo"]


def echo(environ: dict[str, Any], sock: Any = None) -> None:
    """Send every message back, until the connection ends."""
    from simple_websocket import ConnectionClosed, Server

    ws = Server.accept(environ, sock=sock)
    expected = EXPECTED_MODE[environ.get("conformance.kind") or sys.argv[1]]
    if ws.mode != expected:
        raise RuntimeError(f"this should run on {expected}, and runs on {ws.mode}")
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed:
        pass


async def aio_echo(ws: Any) -> None:
    """Send every message back, until the connection ends."""
    from simple_websocket import ConnectionClosed

    try:
        while True:
            await ws.send(await ws.receive())
    except ConnectionClosed:
        pass


def werkzeug(port: int, options: list[str]) -> None:
    from werkzeug.serving import run_simple

    run_simple(HOST, port, app, threaded=True)


def gunicorn(port: int, options: list[str]) -> None:
    from gunicorn.app.wsgiapp import run
    from gunicorn.config import KNOWN_SETTINGS

    # It would be shared with every other gunicorn of this machine.
    alone = [flag for setting in KNOWN_SETTINGS for flag in setting.cli or () if flag == "--no-control-socket"]
    sys.argv = ["gunicorn", "--bind", f"{HOST}:{port}", *alone, *options, f"{APP}:gunicorn_app"]
    run()


def gunicorn_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """`app` for gunicorn, whose worker imports this file anew, with an argv of its own."""
    environ["conformance.kind"] = "gunicorn"
    return app(environ, start_response)


def pywsgi(port: int, options: list[str]) -> None:
    from gevent.pywsgi import WSGIServer

    WSGIServer((HOST, port), app).serve_forever()


def eventlet(port: int, options: list[str]) -> None:
    import eventlet

    eventlet.monkey_patch()
    import eventlet.wsgi

    eventlet.wsgi.server(eventlet.listen((HOST, port)), app)


def sock(port: int, options: list[str]) -> None:
    """Sockets of one's own, with a thread for each."""
    with socket.create_server((HOST, port)) as listener:
        while True:
            accepted, _ = listener.accept()
            threading.Thread(target=_serve_socket, args=(accepted,), daemon=True).start()


def _serve_socket(accepted: socket.socket) -> None:
    with accepted:
        head = b""
        # A byte at a time: what follows the request belongs to the connection.
        while not head.endswith(b"\r\n\r\n"):
            byte = accepted.recv(1)
            if not byte:
                return
            head += byte
        headers = _headers(head)
        if "upgrade" not in headers:
            accepted.sendall(_PLAIN)
            return
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        echo({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_PROTOCOL": "HTTP/1.1", **environ}, accepted)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def aiohttp(port: int, options: list[str]) -> None:
    from aiohttp import web

    from simple_websocket import AioServer

    async def view(request: web.Request) -> web.Response:
        if "Upgrade" in request.headers:
            await aio_echo(await AioServer.accept(aiohttp=request))
        return web.Response(text="echo")

    application = web.Application()
    application.router.add_get("/", view)
    web.run_app(application, host=HOST, port=port, print=None)


def aio_sock(port: int, options: list[str]) -> None:
    """Sockets of one's own, with a task for each."""
    asyncio.run(_serve_sockets(port))


async def _serve_sockets(port: int) -> None:
    loop = asyncio.get_running_loop()
    talks: set[Any] = set()  # the loop holds its tasks weakly
    with socket.create_server((HOST, port)) as listener:
        listener.setblocking(False)
        while True:
            accepted, _ = await loop.sock_accept(listener)
            task = loop.create_task(_aio_serve_socket(accepted))
            talks.add(task)
            task.add_done_callback(talks.discard)


async def _aio_serve_socket(accepted: socket.socket) -> None:
    from simple_websocket import AioServer

    loop = asyncio.get_running_loop()
    accepted.setblocking(False)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = await loop.sock_recv(accepted, 1)
        if not byte:
            accepted.close()
            return
        head += byte
    headers = _headers(head)
    if "upgrade" in headers:
        await aio_echo(await AioServer.accept(sock=accepted, headers=headers))
    else:
        await loop.sock_sendall(accepted, _PLAIN)
        accepted.close()


KINDS = {kind.__name__: kind for kind in (werkzeug, gunicorn, pywsgi, eventlet, sock, aiohttp, aio_sock)}


if __name__ == "__main__":
    signal.alarm(int(sys.argv[3]))
    KINDS[sys.argv[1]](int(sys.argv[2]), sys.argv[4:])
