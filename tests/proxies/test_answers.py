"""Plain HTTP through the proxies beside WebSockets: refusals come through, and requests that are no opening handshake end."""

from __future__ import annotations

import time

import pytest

from simple_websocket import ConnectionError
from tests.servers.raw import OPENING

from .conftest import Front


def test_plain_http(front: Front) -> None:
    connection = front.http()
    try:
        for _ in range(3):
            connection.request("GET", "/")
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"plain HTTP")
            assert "Upgrade" not in response.headers
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path, status, body", [("/forbidden", 403, b"not you"), ("/nowhere", 404, b"not found"), ("/", 400, b"could not understand")]
)
def test_the_application_refuses(front: Front, path: str, status: int, body: bytes) -> None:
    """The client gets the application's own answer."""
    with pytest.raises(ConnectionError) as caught:
        front.connect(path)
    assert caught.value.status_code == status
    assert body in caught.value.body
    if path == "/forbidden":
        assert ("x-reason", "a test") in [(name.lower(), value) for name, value in caught.value.headers]


def test_a_version_that_is_not_spoken(front: Front) -> None:
    connection = front.http()
    try:
        connection.request("GET", "/strict", headers={**OPENING, "Sec-WebSocket-Version": "12"})
        response = connection.getresponse()
        assert response.status == 426 and response.headers["Sec-WebSocket-Version"] == "13"
        response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_no_websocket_where_one_is_wanted(front: Front, method: str) -> None:
    connection = front.http()
    try:
        connection.request(method, "/echo", body=b"x" * 1000 if method == "POST" else None)
        response = connection.getresponse()
        assert 400 <= response.status < 500
        response.read()
    finally:
        connection.close()


def test_a_large_header(front: Front) -> None:
    with front.connect("/echo", headers={"X-Large": "x" * 7000}) as ws:
        ws.send("hello")
        assert ws.receive(timeout=5) == "hello"


def test_a_header_that_is_too_large(unruly_front: Front) -> None:
    """Too large for the proxy or for gunicorn, which takes 8190 bytes."""
    with pytest.raises(ConnectionError) as caught:
        unruly_front.connect("/echo", headers={"X-Large": "x" * 8500})
    assert caught.value.status_code in (400, 431)


def test_a_header_that_is_far_too_large(unruly_front: Front) -> None:
    """The proxy answers and hangs up while the client still sends, and TCP may lose the answer that way. Nothing hangs."""
    started = time.monotonic()
    with pytest.raises(ConnectionError) as caught:
        unruly_front.connect("/echo", headers={"X-Large": "x" * 300_000})
    assert caught.value.status_code in (400, 431, None)
    assert time.monotonic() - started < 5
