"""What is found by itself on every server, and what happens to a request that is no WebSocket handshake."""

from __future__ import annotations

import json
import socket
import ssl
import time

import pytest

from .conftest import Running
from .raw import KEY, OPENING


def test_what_is_found(server: Running) -> None:
    with server.connect("/report") as ws:
        found = json.loads(ws.receive(timeout=5))
    entry = server.entry
    assert found["mode"] == entry.mode
    assert found["backend"] == entry.backend
    assert found["nodelay"]
    if entry.kind == "gunicorn":
        assert ("/25." in found["server"]) == entry.old_gunicorn, found["server"]


BAD = {
    "plain GET": ({}, 400),
    "version 12": ({**OPENING, "Sec-WebSocket-Version": "12"}, 426),
    "no key": ({name: value for name, value in OPENING.items() if name != "Sec-WebSocket-Key"}, 400),
    "short key": ({**OPENING, "Sec-WebSocket-Key": KEY[:8]}, 400),
}


@pytest.mark.parametrize("case", BAD)
def test_the_application_answers_a_bad_handshake(server: Running, case: str) -> None:
    headers, status = BAD[case]
    connection = server.http()
    try:
        connection.request("GET", "/careful", headers=headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status == status, body
        assert body.startswith(f"Connection error: {status} (".encode())
        if status == 426:
            assert response.getheader("Sec-WebSocket-Version") == "13"
        # It is an HTTP connection as before, for as long as the server wants to have it.
        if server.entry.kind == "uwsgi":
            connection.close()  # it keeps no HTTP connection alive, and does not say so
        sock = connection.sock
        assert (sock is None) == response.will_close or server.entry.kind == "uwsgi"
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"plain HTTP"
        if sock is not None:
            assert connection.sock is sock or connection.sock is None
    finally:
        connection.close()


def test_a_handshake_on_a_connection_that_was_used_for_http(server: Running) -> None:
    connection = server.http()
    try:
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"plain HTTP"
        if server.entry.kind == "uwsgi":
            connection.close()
        connection.request("GET", "/report", headers=OPENING)
        response = connection.getresponse()
        assert response.status == 101
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "NONSENSE"])
@pytest.mark.parametrize("path", ["/echo", "/careful"])
def test_plain_http_on_a_websocket_route(server: Running, path: str, method: str) -> None:
    """Answered, by the framework or by the application, and the next request is served."""
    connection = server.http()
    try:
        connection.request(method, path, body=b"a=1" if method == "POST" else None, headers={"Connection": "close"})
        assert 400 <= connection.getresponse().status < 500 or (method == "NONSENSE" and server.entry.kind in REFUSES_METHODS)
    finally:
        connection.close()
    assert server.get("/") == "plain HTTP"


# These answer an unknown method themselves, with 501 (RFC 9110 section 15.6.2).
REFUSES_METHODS = ("pywsgi", "wsgiref", "cheroot", "gunicorn")

MISHANDLE = ("gunicorn-gevent_pywsgi", "uwsgi")

GARBAGE = {
    "binary": bytes(range(256)) * 4 + b"\r\n\r\n",
    "words": b"what is this\r\n\r\n",
    "frames": b"\x81\x85\x00\x00\x00\x00hello" * 20 + b"\r\n\r\n",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage(server: Running, kind: str) -> None:
    """What is no HTTP is the web server's business; it must neither hang nor fail, with the library in its process."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        if server.entry.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        sock.settimeout(5)
        sock.sendall(GARBAGE[kind])
        answer = b""
        try:
            while chunk := sock.recv(4096):
                answer += chunk
        except ConnectionResetError:
            pass
        finally:
            sock.close()
    # Some say nothing at all, and one says it in HTML without a status line (HTTP/0.9).
    assert not answer.startswith(b"HTTP/") or answer.split()[1][:1] == b"4", answer
    # uWSGI hands such a thing to the framework, and gunicorn's gevent_pywsgi fails to write its own access log.
    server.get("/")
    log = "\n".join(server.trouble())
    deadline = time.monotonic() + 0.5
    while server.entry.name.startswith(MISHANDLE) and "Traceback" not in log and time.monotonic() < deadline:
        time.sleep(0.02)  # it comes behind the answer, if it comes
        log += "\n".join(server.trouble())
    assert "/simple_websocket/" not in log and ("Traceback" not in log or server.entry.name.startswith(MISHANDLE)), log
