"""RFC 6455 section 4: requests for a server and responses for a client, as changes of good ones, and what must come of them."""

from __future__ import annotations

from .wire import Head, accept_key

KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of the example in section 1.3

Changes = dict[str, "str | None"]

REQUEST = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}

# (section and what, changes of the headers, status)
REQUESTS: list[tuple[str, Changes, int]] = [
    ("1.3-the-example", {"Origin": "http://example.com", "Sec-WebSocket-Protocol": "chat, superchat"}, 101),
    ("4.2.1-other-headers", {"Cookie": "a=b; c=d", "X-Anything": "goes", "User-Agent": "me"}, 101),
    ("4.2.1.2-no-host", {"Host": None}, 400),
    ("4.2.1.3-no-upgrade", {"Upgrade": None}, 400),
    ("4.2.1.3-another-upgrade", {"Upgrade": "h2c"}, 400),
    ("4.2.1.3-empty-upgrade", {"Upgrade": ""}, 400),
    ("4.2.1.3-upgrade-in-capitals", {"Upgrade": "WebSocket"}, 101),
    ("4.2.1.4-no-connection", {"Connection": None}, 400),
    ("4.2.1.4-another-connection", {"Connection": "keep-alive"}, 400),
    ("4.2.1.4-connection-with-a-longer-word", {"Connection": "Upgrades"}, 400),
    ("4.2.1.4-connection-in-capitals", {"Connection": "UPGRADE"}, 101),
    ("4.2.1.4-connection-with-two-words", {"Connection": "keep-alive, Upgrade"}, 101),
    ("4.2.1.4-connection-with-two-words-turned-round", {"Connection": "Upgrade,keep-alive"}, 101),
    ("4.2.1.5-no-key", {"Sec-WebSocket-Key": None}, 400),
    ("4.2.1.5-empty-key", {"Sec-WebSocket-Key": ""}, 400),
    ("4.2.1.5-key-that-is-no-base64", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZ!=="}, 400),
    ("4.2.1.5-key-without-padding", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
    ("4.2.1.5-key-of-15-bytes", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j"}, 400),
    ("4.2.1.5-key-of-17-bytes", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZWE="}, 400),
    ("4.2.1.5-two-keys", {"Sec-WebSocket-Key": f"{KEY}, {KEY}"}, 400),
    ("4.2.1.6-no-version", {"Sec-WebSocket-Version": None}, 400),
    *((f"4.4-version-{one}", {"Sec-WebSocket-Version": one}, 426) for one in ("0", "8", "12", "14", "25", "013", "x", "13, 8")),
    ("4.2.2-an-origin-that-is-null", {"Origin": "null"}, 101),
    ("9.1-an-unknown-extension", {"Sec-WebSocket-Extensions": "foo; bar=1"}, 101),
    ("9.1-an-extension-with-a-quoted-parameter", {"Sec-WebSocket-Extensions": 'foo; bar="1"'}, 101),
]

# What a server says in its response: (section and what, changes of the request, options of the server, headers it must have;
# a value of None: must not).
CHOICES = [
    ("4.2.2-accept-of-the-example", {}, {}, {"Sec-WebSocket-Accept": ACCEPT, "Upgrade": "websocket", "Connection": "upgrade"}),
    ("4.2.2-no-extension-unasked", {}, {}, {"Sec-WebSocket-Extensions": None, "Sec-WebSocket-Protocol": None}),
    ("4.2.2-no-subprotocol-unasked", {}, {"subprotocols": ["chat"]}, {"Sec-WebSocket-Protocol": None}),
    (
        "4.2.2-no-subprotocol-known",
        {"Sec-WebSocket-Protocol": "a, b"},
        {"subprotocols": ["chat"]},
        {"Sec-WebSocket-Protocol": None},
    ),
    ("4.2.2-subprotocols-not-supported", {"Sec-WebSocket-Protocol": "a, b"}, {}, {"Sec-WebSocket-Protocol": None}),
    (
        "4.2.2-the-subprotocol",
        {"Sec-WebSocket-Protocol": "a,chat"},
        {"subprotocols": ["chat"]},
        {"Sec-WebSocket-Protocol": "chat"},
    ),
    (
        "4.2.2-case-of-subprotocols-counts",
        {"Sec-WebSocket-Protocol": "Chat"},
        {"subprotocols": ["chat"]},
        {"Sec-WebSocket-Protocol": None},
    ),
    ("9.1-an-unknown-extension-is-declined", {"Sec-WebSocket-Extensions": "foo"}, {}, {"Sec-WebSocket-Extensions": None}),
]

# (section and what, status line, changes of the headers, whether the client may take it, options of the client)
OK = "HTTP/1.1 101 Switching Protocols"
RESPONSES: list[tuple[str, str, Changes, bool, dict[str, object]]] = [
    ("4.1-good", OK, {}, True, {}),
    ("4.1.1-another-reason-phrase", "HTTP/1.1 101 Fine", {}, True, {}),
    ("4.1.1-no-reason-phrase", "HTTP/1.1 101 ", {}, True, {}),
    *(
        (f"4.1.1-status-{one}", f"HTTP/1.1 {one} X", {"Content-Length": "0"}, False, {})
        for one in (200, 204, 301, 401, 404, 426, 500)
    ),
    ("4.1.2-upgrade-in-capitals", OK, {"Upgrade": "WebSocket"}, True, {}),
    ("4.1.2-no-upgrade", OK, {"Upgrade": None}, False, {}),
    ("4.1.2-another-upgrade", OK, {"Upgrade": "h2c"}, False, {}),
    ("4.1.3-connection-in-capitals", OK, {"Connection": "UPGRADE"}, True, {}),
    ("4.1.3-connection-with-two-words", OK, {"Connection": "keep-alive, Upgrade"}, True, {}),
    ("4.1.3-no-connection", OK, {"Connection": None}, False, {}),
    ("4.1.3-another-connection", OK, {"Connection": "close"}, False, {}),
    ("4.1.4-space-around-the-accept", OK, {"Sec-WebSocket-Accept": "  {accept}  "}, True, {}),
    ("4.1.4-no-accept", OK, {"Sec-WebSocket-Accept": None}, False, {}),
    ("4.1.4-empty-accept", OK, {"Sec-WebSocket-Accept": ""}, False, {}),
    ("4.1.4-accept-of-another-key", OK, {"Sec-WebSocket-Accept": ACCEPT}, False, {}),
    ("4.1.4-accept-in-capitals", OK, {"Sec-WebSocket-Accept": "{ACCEPT}"}, False, {}),
    ("4.1.4-the-key-itself", OK, {"Sec-WebSocket-Accept": "{key}"}, False, {}),
    ("4.1.5-an-extension-that-was-not-offered", OK, {"Sec-WebSocket-Extensions": "foo"}, False, {}),
    ("4.1.6-a-subprotocol-that-was-asked-for", OK, {"Sec-WebSocket-Protocol": "b"}, True, {"subprotocols": ["a", "b"]}),
    ("4.1.6-none-of-the-subprotocols", OK, {}, True, {"subprotocols": ["a", "b"]}),
    ("4.1.6-a-subprotocol-though-none-was-asked-for", OK, {"Sec-WebSocket-Protocol": "a"}, False, {}),
    ("4.1.6-a-subprotocol-that-was-not-asked-for", OK, {"Sec-WebSocket-Protocol": "c"}, False, {"subprotocols": ["a", "b"]}),
    ("4.1.6-two-subprotocols", OK, {"Sec-WebSocket-Protocol": "a, b"}, False, {"subprotocols": ["a", "b"]}),
    ("4.1-other-headers", OK, {"Server": "me", "Set-Cookie": "a=b", "Date": "now"}, True, {}),
    ("4.1-names-in-capitals", OK, {"Upgrade": None, "UPGRADE": "websocket"}, True, {}),
    ("4.1-no-http", "SIP/2.0 101 Hello", {}, False, {}),
    ("4.1-no-status-line", "Hello", {}, False, {}),
]


def head_of(start: str, headers: Changes, changes: Changes) -> bytes:
    lines = [f"{name}: {value}" for name, value in {**headers, **changes}.items() if value is not None]
    return "\r\n".join([start, *lines, "", ""]).encode("latin-1")


def request(changes: Changes, start: str = "GET /chat HTTP/1.1") -> bytes:
    """The good request, with these changes."""
    return head_of(start, dict(REQUEST), changes)


def response(head: Head, start: str, changes: Changes) -> bytes:
    """The good response to a request, with these changes."""
    key = head.headers["sec-websocket-key"]
    accept = accept_key(key)
    filled = {name: value and value.format(accept=accept, ACCEPT=accept.swapcase(), key=key) for name, value in changes.items()}
    return head_of(start, {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}, filled)
