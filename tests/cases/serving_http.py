"""serve(): opening handshakes that fail, and plain HTTP requests."""

import re

import pytest

from simple_websocket import ConnectionError
from tests.support.served import ask, get, serving
from tests.support.wire import request

from .marks import plain_and_tls


class Oops(Exception):
    pass


def connection_options(head):
    lines = [value.lower() for name, value in head.pairs if name.lower() == "connection"]
    return {option.strip() for line in lines for option in line.split(",")}


@pytest.mark.parametrize(
    "old, new, status",
    [
        (b"GET ", b"POST ", 400),
        (b"HTTP/1.1", b"HTTP/1.0", 400),
        (b"Connection: Upgrade\r\n", b"", 400),
        (b"Upgrade: websocket\r\n", b"", 400),
        (b"Version: 13", b"Version: 8", 426),
        (b"Host: example.org\r\n", b"", 400),
        (b"Upgrade: websocket\r\n", b"Upgrade: websocket\r\nContent-Length: 5\r\n", 400),
        (b"Upgrade: websocket\r\n", b"Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Upgrade: websocket\r\n", b"Upgrade: websocket\r\nTransfer-Encoding: gzip\r\n", 501),
        (b"Upgrade: websocket\r\n", b"Upgrade: websocket\r\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n", 400),
    ],
)
def test_serve_answers_wrong_handshakes(world, caplog, old, new, status):
    with serving(world) as server:
        good = request("example.org")
        assert old in good
        head, body = ask(world, server, good.replace(old, new, 1))
        assert head.status == status and str(status).encode() in body
        assert "close" in connection_options(head)
        assert status != 426 or head.headers["sec-websocket-version"] == "13"
        world.until(lambda: server.connections == 0)
    assert not caplog.records


@plain_and_tls
def test_serve_answers_what_the_application_refuses(world, tls):
    def check(parsed):
        if parsed.target != "/room":
            raise ConnectionError(404, headers=[("X-Why", "no such room")], body=b"what?")

    with serving(world, tls=tls, check_request=check, allowed_origins="https://example.com") as server:
        for headers, target, status in (
            ((), "/room", 403),
            (("Origin: https://example.net",), "/room", 403),
            (("Origin: https://example.com",), "/", 404),
        ):
            head, body = ask(world, server, request("example.org", target, headers), tls)
            assert head.status == status
            assert status != 404 or (head.headers["x-why"], body) == ("no such room", b"what?")
        ws = world.connect(server.url + "room", tls, headers={"Origin": "https://example.com"})
        ws.send("hello")
        assert ws.receive(5) == "hello"


def test_a_check_that_fails_is_logged_and_answered(world, caplog):
    def check(parsed):
        raise Oops("on purpose")

    with serving(world, check_request=check) as server:
        with pytest.raises(ConnectionError) as error:
            world.connect(server.url)
        assert error.value.status_code == 500 and b"on purpose" not in error.value.body
    assert "Oops: on purpose" in caplog.text


# Plain HTTP


@plain_and_tls
@pytest.mark.parametrize(
    "data, status",
    [
        (get(), 426),
        (get(version="1.0"), 426),
        (get("http://example.org/x"), 426),
        (get(method="HEAD"), 426),
        (get("/", "GET", "1.1", "Connection: keep-alive"), 426),
        (get("/", "GET", "1.1", "Upgrade: h2c"), 426),
        (get("/", "POST", "1.1", "Content-Length: 100000") + bytes(100000), 405),
        (get("/", "POST", "1.1", "Expect: 100-continue", "Content-Length: 5"), 405),
        (get("*", "OPTIONS"), 405),
        (get("example.org:443", "CONNECT"), 405),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"\r\n\r\n\r\n", 400),
        (b"garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ],
)
def test_serve_answers_plain_http(world, tls, caplog, data, status):
    with serving(world, tls=tls) as server:
        head, body = ask(world, server, data, tls)
        assert head.status == status
        assert "close" in connection_options(head)
        if data.startswith(b"HEAD"):
            assert not body and int(head.headers["content-length"]) > 0
        else:
            assert len(body) == int(head.headers["content-length"])
        if status == 426:
            assert head.headers["upgrade"] == "websocket" and "upgrade" in connection_options(head)
        world.until(lambda: server.connections == 0)
    assert not caplog.records


@pytest.mark.parametrize("page, kind", [(b"<!doctype html><p>hello", "html"), (b"hello\n", "plain"), (b"", "plain")])
def test_serve_has_a_page(world, page, kind):
    with serving(world, http=page) as server:
        head, body = ask(world, server, get("/any?thing"))
        assert (head.status, body) == (200, page)
        assert head.headers["content-type"] == f"text/{kind}; charset=utf-8"
        head, body = ask(world, server, get(method="HEAD"))
        assert (head.status, body, head.headers["content-length"]) == (200, b"", str(len(page)))
        assert ask(world, server, get("/", "POST", "1.1", "Content-Length: 1") + b"x")[0].status == 405
        with pytest.raises(ConnectionError) as error:  # it does not hide what is wrong with a handshake
            world.connect(server.url, headers={"Sec-WebSocket-Version": "7"})
        assert error.value.status_code in (400, 426)
        ws = world.connect(server.url)
        ws.send("hello")
        assert ws.receive(5) == "hello"


class Parts:
    """A WSGI response that wants to be closed."""

    closed = 0

    def __iter__(self):
        yield b"one "
        yield b""
        yield b"two"

    def close(self):
        type(self).closed += 1


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/parts":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=b")])
        return Parts()
    if path == "/sized":
        start_response("404 Not Found", [("Content-Length", "5"), ("Date", "yesterday")])
        return [b"12", b"345"]
    if path == "/none":
        start_response("204 No Content", [])
        return []
    if path == "/written":
        start_response("200 OK", [])(b"written ")
        return [b"returned"]
    if path == "/second-thoughts":
        start_response("200 OK", [("X-First", "1")])
        try:
            raise Oops
        except Oops as error:
            start_response("500 Oops", [("X-Second", "1")], (type(error), error, error.__traceback__))
        return [b"sorry"]
    start_response("200 OK", [("Content-Length", "100")])
    if path == "/late":
        return (b"a" if number == 0 else fail_now() for number in range(2))
    if path == "/short":
        return [b"too short"]
    if path == "/twice":
        start_response("200 OK", [])
    raise Oops("on purpose")


def fail_now():
    raise Oops("on purpose")


def test_serve_answers_with_a_wsgi_application(world):
    Parts.closed = 0
    with serving(world, http=application) as server:
        head, body = ask(world, server, get("/parts", version="1.0"))
        assert (head.status, body, head.headers["set-cookie"]) == (200, b"one two", "a=b")
        head, body = ask(world, server, get("/parts"))
        assert head.headers["transfer-encoding"] == "chunked" and "date" in head.headers
        assert re.sub(rb"[0-9a-f]+\r\n|\r\n", b"", body) == b"one two"
        head, body = ask(world, server, get("/parts", "HEAD"))
        assert (head.status, body, Parts.closed) == (200, b"", 3)
        head, body = ask(world, server, get("/sized"))
        assert (head.first, body, head.headers["date"]) == ("HTTP/1.1 404 Not Found", b"12345", "yesterday")
        head, body = ask(world, server, get("/none"))
        assert (head.status, body) == (204, b"")
        head, body = ask(world, server, get("/written", version="1.0"))
        assert body == b"written returned"
        head, body = ask(world, server, get("/second-thoughts", version="1.0"))
        assert (head.status, body) == (500, b"sorry") and "x-first" not in head.headers


@pytest.mark.parametrize(
    "path, status, sent", [("/fail", 500, b""), ("/twice", 500, b""), ("/late", 200, b"a"), ("/short", 200, b"too short")]
)
def test_a_wsgi_application_that_fails(world, caplog, path, status, sent):
    with serving(world, http=application) as server:
        head, body = ask(world, server, get(path))
        assert head.status == status and b"on purpose" not in body
        assert status == 500 or body == sent
        world.until(lambda: server.connections == 0)
    assert len([record for record in caplog.records if record.exc_info]) == 1
