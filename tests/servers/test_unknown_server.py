"""A web server that the library does not know: refused with advice, and then made to work with `sock=`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from demo.process import ServerProcess

from .conftest import Running
from .entries import Entry
from .raw import CLOSE, OPENING, TEXT, close_frame, frame, unique


@pytest.fixture(scope="module")
def unknown(run: Callable[[Entry], ServerProcess]) -> Iterator[Running]:
    entry = Entry("unknown", "wsgiref", mode="custom", backend="threading", options=("--hidden",))
    with run(entry) as process:
        yield Running(entry, process)


def test_refused_with_advice(unknown: Running) -> None:
    connection = unknown.http()
    try:
        connection.request("GET", "/careful", headers=OPENING)
        response = connection.getresponse()
        advice = response.read().decode()
    finally:
        connection.close()
    assert response.status == 500
    assert "Hidden/1.0" in advice  # how this one calls itself
    for name in ("Werkzeug", "gunicorn", "gthread", "gevent.pywsgi", "eventlet.wsgi", "wsgiref", "uWSGI", "sock=", "AioServer"):
        assert name in advice
    assert not unknown.trouble()


def test_works_with_sock(unknown: Running) -> None:
    with unknown.connect("/own-socket") as ws:
        assert ws.receive(timeout=5) == "custom"
        for message in ("hello", bytes(1024 * 1024)):
            ws.send(message)
            assert ws.receive(timeout=10) == message


def test_ends_cleanly_with_sock(unknown: Running) -> None:
    name = unique()
    with unknown.raw(f"/own-socket?id={name}") as raw:
        assert raw.receive() == (TEXT, b"custom")
        raw.send(frame(TEXT, b"hello"))
        assert raw.receive() == (TEXT, b"hello")
        raw.send(close_frame(1000))
        assert raw.receive().opcode == CLOSE
        assert raw.rest(within=1.0) == b""
    assert unknown.ended(name) == 1000
    assert not unknown.trouble()


REFUSED = {
    "granian": Entry("granian", "granian", mode="", backend=""),
    "tornado": Entry("gunicorn-tornado", "gunicorn", mode="", backend="", options=("-k", "tornado")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_servers_that_keep_their_sockets(run: Callable[[Entry], ServerProcess], name: str) -> None:
    """The error names the server, those that work instead, and how to use ASGI."""
    with run(REFUSED[name]) as process:
        connection = process.http()
        try:
            connection.request("GET", "/careful", headers=OPENING)
            response = connection.getresponse()
            advice = response.read().decode()
        finally:
            connection.close()
    assert response.status == 500
    for word in (name, "gunicorn with the workers sync, gthread", "AioServer.accept(asgi=(scope, receive, send))"):
        assert word in advice
