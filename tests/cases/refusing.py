"""Server(): origins, a look at the request, additional headers of the response, and how a refusal is answered."""

import re

import pytest

from simple_websocket import ConnectionError
from tests.support.wire import request

from .accepting import refuse

EXAMPLE = "Origin: https://example.com"


@pytest.mark.parametrize(
    "allowed",
    [
        "https://example.com",
        re.compile(r"https://\w+\.com"),
        lambda origin: origin.endswith("example.com"),
        ["https://other.org", re.compile("https://example.(com|org)")],
    ],
    ids=["one", "pattern", "function", "several"],
)
def test_an_allowed_origin(world, allowed):
    ws, _ = world.open("server", headers=(EXAMPLE,), allowed_origins=allowed)
    assert ws.connected
    for line in ("Origin: https://example.com.evil.net", "Origin: null"):
        error = refuse(world, request("example.org", headers=(line,)), allowed_origins=allowed)
        assert error.status_code == 403 and line.partition(" ")[2] in str(error)


def test_no_origin(world):
    """As programs send it that are not browsers."""
    assert refuse(world, request("example.org"), allowed_origins="https://example.com").status_code == 403
    ws, _ = world.open("server", allowed_origins=["https://example.com", None])
    assert ws.connected


def test_everybody_may_by_default(world):
    ws, _ = world.open("server", headers=("Origin: https://anywhere.example",))
    assert ws.connected


def test_a_look_at_the_request(world):
    seen = []
    ws, _ = world.open("server", headers=("X-Token: 1234", "Sec-WebSocket-Protocol: chat"), check_request=seen.append)
    (looked_at,) = seen
    assert looked_at.target == "/" and looked_at.subprotocols == ["chat"]
    assert (b"1234") in dict((name.lower(), value) for name, value in looked_at.extra_headers).values()
    assert ws.connected


def test_the_application_refuses(world):
    def check(asked):
        raise ConnectionError(401, headers=[("WWW-Authenticate", "Basic")], body=b"who are you?")

    error = refuse(world, request("example.org"), check_request=check)
    assert (error.status_code, error.headers, error.body) == (401, [("WWW-Authenticate", "Basic")], b"who are you?")


@pytest.mark.parametrize("given", [{"Set-Cookie": "a=1", "X-Served-By": "me"}, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]])
def test_additional_headers_of_the_response(world, given):
    _, peer = world.open("server", response_headers=given)
    pairs = [(name.lower(), value) for name, value in peer.head.pairs]
    for name, value in given.items() if isinstance(given, dict) else given:
        assert (name.lower(), value) in pairs


def test_a_header_that_cannot_be_sent(world):
    with pytest.raises(ValueError):
        refuse(world, request("example.org"), response_headers={"X-Bad": "line\r\nbreak"})


@pytest.mark.parametrize("method, body", [("GET", b"Connection error: 403 (no)\n"), ("HEAD", b"")])
def test_the_error_is_an_application_that_answers(method, body):
    started = []
    error = ConnectionError(403, headers=[("X-Why", "no"), ("Content-Length", "1")], detail="no")
    answer = error({"REQUEST_METHOD": method}, lambda status, headers: started.append((status, headers)))
    assert b"".join(answer) == body
    expected = [("X-Why", "no"), ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "27")]
    assert started == [("403 Forbidden", expected)]


def test_its_own_content_type_is_kept():
    error = ConnectionError(429, headers=[("content-type", "application/json")], body=b"{}")
    assert error.response() == (
        "429 Too Many Requests",
        [("content-type", "application/json"), ("Content-Length", "2")],
        b"{}",
    )
    assert ConnectionError(799).response()[0] == "799 Error"
    assert ConnectionError().response()[0] == "400 Bad Request"
