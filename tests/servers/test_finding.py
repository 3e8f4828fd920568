"""Finding the socket where something stands between the server and the application: environs as servers make them, in a process.

`Server.accept` in another thread than the request's, and middleware that has put another object in the place of `wsgi.input`.
"""

from __future__ import annotations

import io
import socket
import threading
from typing import Any

import pytest
from cheroot.server import KnownLengthRFile

from simple_websocket import ConnectionClosed, ConnectionError, Server

from .raw import CLOSE, OPENING, TEXT, RawClient, close_frame, frame

REQUEST = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/",
    "HTTP_HOST": "127.0.0.1",
    **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in OPENING.items()},
}


def environ(kind: str, sock: socket.socket) -> dict[str, Any]:
    """What a server of this kind makes for a request once it has read it, as far as it says where the socket is."""
    # gunicorn's own input would have what it has read besides.
    reader = sock.makefile("rb", 0 if kind == "gunicorn behind middleware" else -1)
    while reader.readline() != b"\r\n":
        pass
    if kind == "werkzeug":
        return {"werkzeug.socket": sock, "wsgi.input": reader}
    if kind == "gunicorn behind middleware":
        reader.close()
        return {"gunicorn.socket": sock, "wsgi.input": io.BytesIO()}
    return {"wsgi.input": KnownLengthRFile(reader, 0)}


@pytest.mark.parametrize("kind", ["werkzeug", "gunicorn behind middleware", "cheroot"])
def test_accepted_outside_of_the_servers_own_frames(kind: str) -> None:
    ended = []

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            request = {**REQUEST, **environ(kind, sock)}
            ws = Server.accept(request)
            try:
                while True:
                    ws.send(ws.receive(timeout=10))
            except ConnectionClosed as closed:
                ended.append((ws.mode, closed.reason))
            request["wsgi.input"].close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        with RawClient(listener.getsockname()[1], "/", first=frame(TEXT, b"early")) as raw:
            assert raw.receive() == (TEXT, b"early")
            raw.send(frame(TEXT, b"hello"))
            assert raw.receive() == (TEXT, b"hello")
            raw.send(close_frame(4000))
            assert raw.receive().opcode == CLOSE
            assert raw.rest(within=2.0) == b""
        serving.join(10)
    assert ended == [("gunicorn" if "gunicorn" in kind else "werkzeug", 4000)]


def test_an_input_that_reads_from_no_socket() -> None:
    with pytest.raises(ConnectionError) as error:
        Server.accept({**REQUEST, "wsgi.input": KnownLengthRFile(io.BytesIO(), 0)})
    assert error.value.status_code == 500 and "cheroot" in str(error.value)


def test_a_socket_of_ones_own_is_left_alone_when_it_cannot_be_used() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(ValueError, match="no such backend"):
            Server.accept(dict(REQUEST), sock=ours, backend="no such backend")
        ours.sendall(b"HTTP/1.1 500 Sorry\r\n\r\n")
        assert theirs.recv(100).startswith(b"HTTP/1.1 500")
