"""What is found by itself on every server, and what happens to a request that is no WebSocket handshake."""

from __future__ import annotations

import json

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
