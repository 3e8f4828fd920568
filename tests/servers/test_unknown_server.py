"""A web server that the library does not know: refused with advice, and then made to work with `sock=`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from demo.process import ServerProcess

from .conftest import Running
from .entries import Entry
from .raw import CLOSE, OPENING, TEXT, close_frame, frame, unique


@pytest.fixture(scope="module")
def wsgiref(run: Callable[[Entry], ServerProcess]) -> Iterator[Running]:
    entry = Entry("wsgiref", "wsgiref", mode="custom", backend="threading")
    with run(entry) as process:
        yield Running(entry, process)


def test_refused_with_advice(wsgiref: Running) -> None:
    connection = wsgiref.http()
    try:
        connection.request("GET", "/careful", headers=OPENING)
        response = connection.getresponse()
        advice = response.read().decode()
    finally:
        connection.close()
    assert response.status == 500
    assert "WSGIServer" in advice  # how this one calls itself
    for name in ("Werkzeug", "gunicorn", "gthread", "gevent.pywsgi", "eventlet.wsgi", "sock="):
        assert name in advice
    assert not wsgiref.trouble()


def test_works_with_sock(wsgiref: Running) -> None:
    with wsgiref.connect("/own-socket") as ws:
        assert ws.receive(timeout=5) == "custom"
        for message in ("hello", bytes(1024 * 1024)):
            ws.send(message)
            assert ws.receive(timeout=10) == message


def test_ends_cleanly_with_sock(wsgiref: Running) -> None:
    name = unique()
    with wsgiref.raw(f"/own-socket?id={name}") as raw:
        assert raw.receive() == (TEXT, b"custom")
        raw.send(frame(TEXT, b"hello"))
        assert raw.receive() == (TEXT, b"hello")
        raw.send(close_frame(1000))
        assert raw.receive().opcode == CLOSE
        assert raw.rest(within=1.0) == b""
    assert wsgiref.ended(name) == 1000
    assert not wsgiref.trouble()
