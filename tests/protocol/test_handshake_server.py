"""handshake.py: the server's side of the opening handshake, RFC 6455 section 4.2."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_websocket.errors import ConnectionError
from simple_websocket.protocol.deflate import Compression
from simple_websocket.protocol.handshake import ServerHandshake, rejection

from .http_text import ODD_TEXT, WEIRD_TEXT, http_fields

# The nonce of section 1.3, and the answer to it.
NONCE = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
VALID = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": NONCE,
    "Sec-WebSocket-Version": "13",
}


def server(changes=None, *, extra=(), method="GET", target="/chat", compression=None):
    """A server's handshake with some of the headers changed, or left out (None)."""
    headers = [(name, value) for name, value in {**VALID, **(changes or {})}.items() if value is not None]
    return ServerHandshake(method, target, [*headers, *extra], compression)


# Section 4.2, server


def test_4_2_2_response_to_the_example_of_section_1_3():
    handshake = server()
    line, headers = http_fields(handshake.accept(None))
    assert line.startswith("HTTP/1.1 101 ")
    assert headers["upgrade"].lower() == "websocket"
    assert headers["connection"].lower() == "upgrade"
    assert headers["sec-websocket-accept"] == ACCEPT
    assert "sec-websocket-protocol" not in headers and "sec-websocket-extensions" not in headers
    assert handshake.deflate is None


def test_4_2_1_the_parsed_request():
    handshake = server(
        {"Sec-WebSocket-Protocol": "chat, superchat", "Origin": "http://example.com"},
        extra=[("Cookie", "a=1"), ("X-Name", "J\xf6rg")],
        target="/chat?room=1&x=%20",
    )
    assert handshake.request.host == "server.example.com"
    assert handshake.request.target == "/chat?room=1&x=%20"
    assert handshake.request.subprotocols == ["chat", "superchat"]
    headers = dict(handshake.request.extra_headers)
    assert headers[b"origin"] == b"http://example.com"
    assert headers[b"cookie"] == b"a=1"
    assert headers[b"x-name"] == b"J\xf6rg"


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": "WebSocket"},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "upgrade"},
        {"Host": "127.0.0.1:8080"},
        {"Host": "[::1]:8080"},
        {"Host": "server.example.com:443"},
        {"Cookie": "c" * 40_000},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_4_2_1_what_is_valid(changes):
    assert server(changes).accept(None).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    "changes",
    [
        {"Host": None},
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Upgrade": ""},
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Connection": ""},
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": NONCE[:-2]},
        {"Sec-WebSocket-Key": "!" * 24},
        {"Sec-WebSocket-Key": "\xff" * 24},
        {"Sec-WebSocket-Key": base64.b64encode(bytes(15)).decode()},
        {"Sec-WebSocket-Key": base64.b64encode(bytes(17)).decode()},
        {"Sec-WebSocket-Key": NONCE + "=="},
        {"Sec-WebSocket-Key": NONCE[:12] + " " + NONCE[12:]},
        {"Sec-WebSocket-Key": f"{NONCE}, {NONCE}"},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Version": ""},
    ],
    ids=str,
)
def test_4_2_1_missing_or_wrong_headers_are_400(changes):
    with pytest.raises(ConnectionError) as caught:
        server(changes)
    assert caught.value.status_code == 400
    assert caught.value.headers == [] and caught.value.body == b""


@pytest.mark.parametrize("version", ["8", "14", "0", "013", "13, 8", "13.0", "thirteen"])
def test_4_4_another_version_is_426_and_names_ours(version):
    with pytest.raises(ConnectionError) as caught:
        server({"Sec-WebSocket-Version": version})
    assert caught.value.status_code == 426
    assert [(name.lower(), value) for name, value in caught.value.headers] == [("sec-websocket-version", "13")]
    assert "13" in str(caught.value)


@pytest.mark.parametrize("method", ["POST", "HEAD", "get", "", "G\xcbT"])
def test_4_2_1_the_method_is_get(method):
    with pytest.raises(ConnectionError) as caught:
        server(method=method)
    assert caught.value.status_code == 400


@pytest.mark.parametrize("name", ["Host", "Sec-WebSocket-Key"])
def test_4_2_1_headers_that_may_not_come_twice(name):
    with pytest.raises(ConnectionError) as caught:
        server(extra=[(name, VALID[name])])
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    "extra",
    [
        ("Content-Length", "5"),
        ("Content-Length", "five"),
        ("Transfer-Encoding", "chunked"),
        ("Transfer-Encoding", "gzip"),
        ("Expect", "100-continue"),
    ],
    ids=str,
)
def test_a_request_that_announces_a_body_is_refused_or_accepted_but_never_half(extra):
    """A peer's mistake is a ConnectionError before a byte is written, not a ValueError out of `accept`."""
    try:
        handshake = server(extra=[extra])
    except ConnectionError as error:
        assert error.status_code == 400
    else:
        assert handshake.accept(None).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("name", [*VALID, "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin", "Cookie", "X"])
@pytest.mark.parametrize("value", WEIRD_TEXT, ids=ascii)
def test_weird_values_are_a_connection_error_or_nothing(name, value):
    try:
        handshake = server({name: value}, compression=Compression())
    except ConnectionError as error:
        assert error.status_code in (400, 426)
        str(error).encode("utf-8", "backslashreplace")
    else:
        handshake.accept(None)


@pytest.mark.parametrize("name", ["", " ", "X Y", "X:", "\xe9", "\u20ac", "X\r\nY", "\0"], ids=ascii)
def test_weird_header_names(name):
    with pytest.raises(ConnectionError) as caught:
        server(extra=[(name, "value")])
    assert caught.value.status_code == 400


@pytest.mark.parametrize("target", ["", " ", "/\xe9", "/\u20ac", "/a b", "/a\r\nX: y", "/\0"], ids=ascii)
def test_weird_targets(target):
    try:
        server(target=target).accept(None)
    except ConnectionError as error:
        assert error.status_code == 400


HOSTS = st.builds(
    "{}{}{}".format, st.sampled_from(["", "xn--", "a.", "[", "www.xn--"]), ODD_TEXT, st.sampled_from(["", ":80", "]"])
)
NAMES = st.sampled_from([*VALID, "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Content-Length", "Transfer-Encoding"])


@given(
    changes=st.dictionaries(NAMES | st.text(string.printable, max_size=8), ODD_TEXT | st.none(), max_size=3),
    host=st.just(VALID["Host"]) | HOSTS,
    extra=st.lists(st.tuples(NAMES | ODD_TEXT, ODD_TEXT), max_size=2),
    target=st.just("/") | ODD_TEXT,
)
def test_whatever_the_request_nothing_but_connection_error(changes, host, extra, target):
    try:
        handshake = server({"Host": host, **changes}, extra=extra, target=target, compression=Compression())
    except ConnectionError as error:
        assert error.status_code in (400, 426)
    else:
        handshake.accept(handshake.request.subprotocols[0] if handshake.request.subprotocols else None)


# Subprotocols and extensions, server


def test_4_2_2_subprotocol():
    handshake = server({"Sec-WebSocket-Protocol": "chat, superchat"}, extra=[("Sec-WebSocket-Protocol", "third")])
    assert handshake.request.subprotocols == ["chat", "superchat", "third"]
    assert http_fields(handshake.accept("third"))[1]["sec-websocket-protocol"] == "third"


@pytest.mark.parametrize("offered", [None, "chat, superchat"])
def test_4_2_2_a_subprotocol_that_was_not_offered_is_a_mistake_of_ours(offered):
    handshake = server({"Sec-WebSocket-Protocol": offered})
    with pytest.raises(ValueError, match="other"):
        handshake.accept("other")


@pytest.mark.parametrize(
    "offers, answer",
    [
        ([], None),
        (["permessage-deflate"], "permessage-deflate"),
        (["x-webkit-deflate-frame"], None),
        (["permessage-deflate; unknown"], None),
        (
            ["permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10"],
            "permessage-deflate; server_max_window_bits=10",
        ),
        (["permessage-deflate; server_max_window_bits=9, permessage-deflate"], "permessage-deflate; server_max_window_bits=9"),
        (["permessage-deflate; unknown", "foo, permessage-deflate"], "permessage-deflate"),
    ],
)
def test_9_1_extensions_are_negotiated(offers, answer):
    handshake = server(extra=[("Sec-WebSocket-Extensions", offer) for offer in offers], compression=Compression())
    headers = http_fields(handshake.accept(None))[1]
    assert headers.get("sec-websocket-extensions") == answer
    assert (handshake.deflate is not None) is (answer is not None)


def test_9_1_no_parameters_to_answer():
    handshake = server({"Sec-WebSocket-Extensions": "permessage-deflate"}, compression=Compression(server_max_window_bits=15))
    assert http_fields(handshake.accept(None))[1]["sec-websocket-extensions"] == "permessage-deflate"


def test_9_1_compression_switched_off():
    handshake = server({"Sec-WebSocket-Extensions": "permessage-deflate"}, compression=None)
    assert "sec-websocket-extensions" not in http_fields(handshake.accept(None))[1]
    assert handshake.deflate is None


def test_accepting_twice_is_a_mistake_of_ours():
    handshake = server()
    handshake.accept(None)
    with pytest.raises(ValueError):
        handshake.accept(None)


def test_the_response_of_a_rejection():
    with pytest.raises(ConnectionError) as error:
        ServerHandshake("POST", "/", [], None)
    head, _, body = rejection(error.value).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in head and b"POST" in body
