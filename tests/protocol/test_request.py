"""HttpExchange: bytes of a request in, bytes of a response out."""

import pytest

from simple_websocket import ConnectionError
from simple_websocket.protocol.request import HttpExchange

GET = b"GET /path?x=1 HTTP/1.1\r\nHost: example.org\r\n"
UPGRADE = GET + b"Upgrade: WebSocket\r\nConnection: Upgrade\r\n"


def split(data):
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return first, [tuple(line.lower().split(": ", 1)) for line in lines], body


def test_a_request_whole_and_byte_by_byte():
    whole = HttpExchange(1000).receive_data(GET + b"X-Two: 1\r\nX-Two: 2\r\n\r\nbody?")
    assert whole == ("GET", "/path?x=1", "HTTP/1.1", [("host", "example.org"), ("x-two", "1"), ("x-two", "2")], b"body?")
    assert not whole.wants_websocket
    exchange = HttpExchange(1000)
    data = GET + b"\r\n"
    assert [exchange.receive_data(data[at : at + 1]) for at in range(len(data) - 1)] == [None] * (len(data) - 1)
    assert exchange.receive_data(data[-1:]).target == "/path?x=1"
    assert exchange.received == len(data)


@pytest.mark.parametrize(
    "headers, wanted",
    [
        (b"Upgrade: websocket\r\n", True),
        (b"upgrade: h2c, WebSocket\r\n", True),
        (b"Sec-WebSocket-Key: x\r\n", True),
        (b"Upgrade: h2c\r\n", False),
        (b"X: websocket\r\n", False),
    ],
)
def test_whether_it_wants_a_websocket(headers, wanted):
    assert HttpExchange(1000).receive_data(GET + headers + b"\r\n").wants_websocket is wanted


def test_what_came_behind_an_opening_handshake():
    assert HttpExchange(1000).receive_data(UPGRADE + b"Content-Length: 00\r\n\r\nframes").leftover == b"frames"


@pytest.mark.parametrize(
    "data, status",
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\0", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (GET + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (UPGRADE + b"Content-Length: 1\r\n\r\nx", 400),
        (UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n", 400),
        (UPGRADE.replace(b"1.1", b"1.0") + b"\r\n", 400),
        (GET + b"X: " + bytes(100).replace(b"\0", b"x") + b"\r\n\r\n", 431),  # complete at once
        (GET + b"X: " + bytes(100).replace(b"\0", b"x"), 431),
    ],
)
def test_requests_that_are_refused(data, status):
    exchange = HttpExchange(120)
    with pytest.raises(ConnectionError) as error:
        exchange.receive_data(data)
    assert error.value.status_code == status
    assert "nonsense" not in str(error.value)
    first, _, body = split(exchange.respond(*error.value.response()))
    assert first.startswith(f"HTTP/1.1 {status} ") and str(status).encode() in body


def test_the_largest_request():
    data = GET + b"\r\n"
    assert HttpExchange(len(data)).receive_data(data + b"x" * 100) is not None
    with pytest.raises(ConnectionError):
        HttpExchange(len(data) - 1).receive_data(data)


def asked(request=GET + b"\r\n"):
    exchange = HttpExchange(1000)
    assert exchange.receive_data(request)
    return exchange


def test_a_response():
    first, headers, body = split(asked().respond("200 All right", [("X-A", "\xe9"), ("Content-Length", "77")], b"hello"))
    assert (first, body) == ("HTTP/1.1 200 All right", b"hello")
    assert sorted(headers) == [("connection", "close"), ("content-length", "5"), ("x-a", "\xe9")]


def test_its_headers():
    data = asked().respond("426 Upgrade Required", [("Upgrade", "websocket"), ("Connection", "keep-alive")], b"")
    _, headers, body = split(data)
    assert ("upgrade", "websocket") in headers and ("content-length", "0") in headers and body == b""
    options = {option.strip() for name, value in headers if name == "connection" for option in value.split(",")}
    assert options == {"close", "upgrade"}


def test_no_body_where_there_is_none():
    head = GET.replace(b"GET", b"HEAD") + b"\r\n"
    assert split(asked(head).respond("200 OK", [], b"hello"))[2] == b""
    for status in ("204 No Content", "304 Not Modified"):
        exchange = asked()
        exchange.start_response(status, [])
        assert exchange.send_body(b"hello") == b"" and exchange.end_response() == b""


def test_a_body_in_parts():
    exchange = asked()
    assert ("transfer-encoding", "chunked") in split(exchange.start_response("200 OK", []))[1]
    assert exchange.send_body(b"") == b""
    assert exchange.send_body(b"hello") == b"5\r\nhello\r\n"
    assert exchange.end_response() == b"0\r\n\r\n"
    exchange = asked(b"GET / HTTP/1.0\r\n\r\n")
    assert not [name for name, _ in split(exchange.start_response("200 OK", []))[1] if name == "transfer-encoding"]
    assert exchange.send_body(b"hello") == b"hello" and exchange.end_response() == b""


@pytest.mark.parametrize(
    "status, headers",
    [
        ("abc", []),
        ("99 Low", []),
        ("200 OK", [("bad name", "x")]),
        ("200 OK", [("X", "a\r\nb: c")]),
        ("200 OK", [("X", "\u2603")]),
    ],
)
def test_responses_that_are_not_valid(status, headers):
    with pytest.raises(ValueError):
        asked().start_response(status, headers)


def test_bodies_that_do_not_fit_their_length():
    exchange = asked()
    exchange.start_response("200 OK", [("Content-Length", "3")])
    with pytest.raises(ValueError):
        exchange.send_body(b"hello")
    exchange = asked()
    exchange.start_response("200 OK", [("Content-Length", "3")])
    with pytest.raises(ValueError):
        exchange.end_response()
