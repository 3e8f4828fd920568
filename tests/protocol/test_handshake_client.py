"""handshake.py: the client's side of the opening handshake, RFC 6455 section 4.1, and both sides together."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_websocket.errors import ConnectionError
from simple_websocket.protocol.deflate import Compression
from simple_websocket.protocol.handshake import ClientHandshake, ServerHandshake

from .http_text import ODD_TEXT, http_fields


def client(host="server.example.com", target="/chat", subprotocols=(), headers=None, compression=None):
    return ClientHandshake(host, target, subprotocols, headers, compression)


def token(handshake):
    key = http_fields(handshake.request)[1]["sec-websocket-key"]
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def response(handshake, changes=None, *, status="101 Switching Protocols", extra=""):
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": token(handshake), **(changes or {})}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return f"HTTP/1.1 {status}\r\n{''.join(lines)}{extra}\r\n".encode("latin-1")


def rejected(handshake, *chunks, eof=False):
    with pytest.raises(ConnectionError) as caught:
        for chunk in chunks:
            assert handshake.receive_data(chunk) == b""
        assert eof, "the end of the stream was not needed"
        handshake.receive_eof()
    assert not handshake.accepted
    return caught.value


def test_4_1_the_request():
    line, headers = http_fields(client("server.example.com:8080", "/chat?a=b").request)
    assert line == "GET /chat?a=b HTTP/1.1"
    assert headers["host"] == "server.example.com:8080"
    assert headers["upgrade"] == "websocket"
    assert headers["connection"] == "Upgrade"
    assert headers["sec-websocket-version"] == "13"
    assert len(base64.b64decode(headers["sec-websocket-key"], validate=True)) == 16
    assert "sec-websocket-protocol" not in headers and "sec-websocket-extensions" not in headers


def test_4_1_the_nonce_is_random():
    assert len({http_fields(client().request)[1]["sec-websocket-key"] for _ in range(50)}) == 50


def test_4_1_options_of_the_request():
    handshake = client(
        subprotocols=["one", "two"],
        headers={"Cookie": "a=1", "X-Name": "J\xf6rg"},
        compression=Compression(server_max_window_bits=10),
    )
    headers = http_fields(handshake.request)[1]
    assert headers["sec-websocket-protocol"] == "one, two"
    assert headers["sec-websocket-extensions"] == "permessage-deflate; client_max_window_bits; server_max_window_bits=10"
    assert (headers["cookie"], headers["x-name"]) == ("a=1", "J\xf6rg")


@pytest.mark.parametrize("name", ["Host", "host", "HOST"])
def test_a_header_named_host_replaces_it(name):
    for headers in ({name: "other.example.com"}, [(name, "other.example.com")]):
        assert http_fields(client(headers=headers).request)[1]["host"] == "other.example.com"


def test_headers_as_pairs_may_come_twice():
    assert client(headers=[("X", "1"), ("X", "2")]).request.count(b"\r\nX: ") == 2


@pytest.mark.parametrize("host", ["[::1]:8000", "[fe80::1%25eth0]", "127.0.0.1", "b\xfccher.example"])
def test_4_1_hosts(host):
    handshake = client(host)
    expected = host if host.isascii() else "xn--bcher-kva.example"
    assert http_fields(handshake.request)[1]["host"] == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X": "\u20ac"}},
        {"headers": {"X Y": "a"}},
        {"headers": {"\xe9": "a"}},
        {"headers": {"": "a"}},
        {"headers": {"Host": "a\r\nX: b"}},
        {"headers": [("X", "a\0b")]},
        {"host": "a\r\nX: b"},
        {"host": "a..b"},
        {"target": "/a b"},
        {"target": "/a\r\nX: b"},
        {"target": "/\xe9"},
        {"subprotocols": ["a\r\nX: b"]},
        {"subprotocols": ["\u20ac"]},
    ],
    ids=str,
)
def test_an_invalid_request_is_a_value_error(wrong):
    with pytest.raises(ValueError, match="handshake request is not valid"):
        client(**wrong)


def test_4_1_accepted():
    handshake = client()
    assert handshake.receive_data(response(handshake)) == b""
    assert handshake.accepted
    assert handshake.subprotocol is None and handshake.deflate is None


def test_4_1_values_are_compared_without_case():
    handshake = client()
    handshake.receive_data(response(handshake, {"Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"}))
    assert handshake.accepted


def test_4_1_subprotocol_of_the_server():
    handshake = client(subprotocols=["one", "two"])
    handshake.receive_data(response(handshake, {"Sec-WebSocket-Protocol": "two"}))
    assert handshake.accepted and handshake.subprotocol == "two"


def test_9_1_extension_of_the_server():
    handshake = client(compression=Compression())
    handshake.receive_data(response(handshake, {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=11"}))
    assert handshake.accepted
    assert handshake.deflate is not None and handshake.deflate.inflater()._bits == -11


FRAMES = b"\x81\x05Hello\x89\x00" + b"\r\n\r\n\x00\xff" * 10


def test_frames_behind_the_response_are_returned():
    handshake = client()
    assert handshake.receive_data(response(handshake) + FRAMES) == FRAMES
    assert handshake.accepted


def test_a_response_split_at_every_byte():
    size = len(response(client()))
    for cut in range(1, size):
        handshake = client()
        data = response(handshake) + FRAMES
        assert handshake.receive_data(data[:cut]) == b""
        assert not handshake.accepted
        assert handshake.receive_data(data[cut:]) == FRAMES
        assert handshake.accepted


def test_a_response_byte_by_byte():
    handshake = client()
    data = response(handshake)
    for i in range(len(data) - 1):
        assert handshake.receive_data(data[i : i + 1]) == b""
        assert not handshake.accepted
    assert handshake.receive_data(data[-1:] + FRAMES) == FRAMES
    assert handshake.accepted


def test_a_large_but_allowed_response():
    handshake = client()
    data = response(handshake, extra="".join(f"X-{i}: {'x' * 1000}\r\n" for i in range(50)))
    for i in range(0, len(data), 4096):
        handshake.receive_data(data[i : i + 4096])
    assert handshake.accepted


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Connection": None},
        {"Connection": "close"},
        {"Connection": "\xff"},
        {"Sec-WebSocket-Accept": None},
        {"Sec-WebSocket-Accept": ""},
        {"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
        {"Sec-WebSocket-Accept": "\xff"},
        {"Sec-WebSocket-Protocol": "not asked for"},
        {"Sec-WebSocket-Protocol": "\xff"},
        {"Sec-WebSocket-Extensions": "not-asked-for"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; unknown"},
        {"Sec-WebSocket-Extensions": "permessage-deflate, permessage-deflate"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits=99"},
        {"Sec-WebSocket-Extensions": "\xff"},
    ],
    ids=str,
)
def test_4_1_wrong_responses(changes):
    handshake = client(subprotocols=["asked for"], compression=Compression())
    error = rejected(handshake, response(handshake, changes))
    assert error.status_code is None and error.headers == [] and error.body == b""


def test_9_1_an_extension_when_none_was_offered():
    handshake = client()
    rejected(handshake, response(handshake, {"Sec-WebSocket-Extensions": "permessage-deflate"}))


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 abc\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\x00\x01\x02\n\n",
        b"\r\n\r\n",
        b"HTTP/1.1 101 X\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50\n\n",
    ],
)
def test_what_is_no_http_response(data):
    assert rejected(client(), data).status_code is None


@pytest.mark.parametrize("step", [1000, 100_000])
def test_a_header_that_does_not_end_is_bounded(step):
    handshake = client()
    endless = b"HTTP/1.1 101 X\r\n" + b"X: " + b"x" * 100_000
    error = rejected(handshake, *(endless[i : i + step] for i in range(0, len(endless), step)))
    assert "65536" in str(error)


@pytest.mark.parametrize("started", [b"", b"HTTP/1.1 101 Switching", b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"])
def test_the_stream_ends_before_the_response_does(started):
    handshake = client()
    error = rejected(handshake, *filter(None, [started]), eof=True)
    assert error.status_code is None


# Rejections


@pytest.mark.parametrize(
    "status", ["400 Bad Request", "401 Unauthorized", "302 Found", "200 OK", "500 X", "426 Upgrade Required"]
)
def test_rejection_with_a_body(status):
    data = f"HTTP/1.1 {status}\r\nContent-Length: 9\r\nX-Why: be\xe7ause\r\n\r\nno thanks".encode("latin-1")
    for cut in range(1, len(data)):
        error = rejected(client(), data[:cut], data[cut:])
        assert error.status_code == int(status[:3])
        assert [(name.lower(), value) for name, value in error.headers] == [("content-length", "9"), ("x-why", "be\xe7ause")]
        assert error.body == b"no thanks"
        assert status[:3] in str(error)


@pytest.mark.parametrize("end", [b"Content-Length: 0\r\n\r\n", b"\r\n"], ids=["empty body", "no body"])
def test_rejection_without_a_body(end):
    status = b"204 No Content" if end == b"\r\n" else b"403 Forbidden"
    error = rejected(client(), b"HTTP/1.1 " + status + b"\r\n" + end)
    assert error.status_code == int(status[:3]) and error.body == b""


@pytest.mark.parametrize("status", [100, 103])
def test_an_answer_that_is_not_final_is_no_connection(status):
    error = rejected(client(), f"HTTP/1.1 {status} X\r\nLink: </style.css>\r\n\r\n".encode())
    assert error.status_code == status and error.headers == [("link", "</style.css>")]


def test_rejection_with_a_chunked_body():
    data = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    error = rejected(client(), *(data[i : i + 1] for i in range(len(data))))
    assert (error.status_code, error.body) == (404, b"abcdefg")


@pytest.mark.parametrize("head", [b"", b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_rejection_that_the_end_of_the_stream_completes_or_cuts(head):
    body = b"5\r\nabcde\r\n" if b"chunked" in head else b"abcde"
    error = rejected(client(), b"HTTP/1.1 503 Busy\r\n" + head + b"\r\n", body, eof=True)
    assert (error.status_code, error.body) == (503, b"abcde")


def test_rejection_with_a_broken_body_still_tells_the_status():
    error = rejected(client(), b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n", b"not a chunk size\r\n")
    assert error.status_code == 503


@pytest.mark.parametrize("head", [b"", b"Content-Length: 1000000000000\r\n"])
def test_the_body_of_a_rejection_is_bounded(head):
    handshake = client()
    chunk = b"b" * 5000
    received = 0
    with pytest.raises(ConnectionError) as caught:
        handshake.receive_data(b"HTTP/1.1 500 Oops\r\n" + head + b"\r\n")
        while received < 1_000_000:
            received += len(chunk)
            handshake.receive_data(chunk)
    assert received < 80_000
    assert (caught.value.status_code, len(caught.value.body)) == (500, 65536)


def test_the_body_of_a_rejection_is_bounded_in_one_segment():
    error = rejected(client(), b"HTTP/1.1 500 Oops\r\n\r\n" + b"b" * 1_000_000)
    assert len(error.body) == 65536


@given(
    st.lists(st.binary(min_size=1, max_size=60) | st.sampled_from([b"HTTP/1.1 ", b"101 ", b"\r\n", b"\n\n", b": "]), max_size=12)
)
def test_whatever_the_response_nothing_but_connection_error(chunks):
    handshake = client(compression=Compression())
    with pytest.raises(ConnectionError):
        for chunk in chunks:
            assert handshake.receive_data(chunk) == b""
        handshake.receive_eof()


@given(
    st.integers(200, 599),
    st.lists(st.tuples(st.sampled_from(["Content-Length", "X", "Transfer-Encoding"]), ODD_TEXT), max_size=3),
    st.binary(),
)
def test_whatever_the_rejection_nothing_but_connection_error(status, headers, body):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    data = f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("utf-8", "surrogatepass")
    handshake = client()
    with pytest.raises(ConnectionError):
        handshake.receive_data(data)
        handshake.receive_data(body or b"x")
        handshake.receive_eof()


# Both


@pytest.mark.parametrize(
    "compression", [None, Compression(), Compression(server_no_context_takeover=True, client_max_window_bits=9)]
)
@pytest.mark.parametrize("subprotocols", [[], ["a"], ["a", "b"]])
def test_our_client_and_our_server_agree(compression, subprotocols):
    here = client(subprotocols=subprotocols, compression=compression)
    line, headers = http_fields(here.request)
    there = ServerHandshake("GET", line.split()[1], list(headers.items()), compression)
    chosen = there.request.subprotocols[-1] if subprotocols else None
    assert here.receive_data(there.accept(chosen) + FRAMES) == FRAMES
    assert here.accepted and here.subprotocol == chosen
    assert (here.deflate is None) is (there.deflate is None) is (compression is None)
