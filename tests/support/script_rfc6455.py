"""Scripts for RFC 6455 sections 5 to 10: data framing, sending and receiving, closing, limits."""

from __future__ import annotations

from .script import Out, Script
from .wire import BINARY, CLOSE, CONTINUATION, OPCODES, PING, PONG, TEXT, close_payload

RESERVED_OPCODES = (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
NAMES = {CONTINUATION: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536, 65537)
# What must not be looked at, because it comes behind the end.
BEHIND = Out(TEXT, b"behind")


def good(section: str, what: str, *sends: Out | bytes, receives: tuple = (), answers: tuple = (), **more: object) -> Script:
    """The connection is open afterwards."""
    return Script(section, what, sends, receives, answers, **more)


def bad(section: str, what: str, *sends: Out | bytes, code: int = 1002, **more: object) -> Script:
    """The connection is failed, and what comes behind the violation is ignored."""
    return Script(section, what, sends, ends=code, fails=True, **more)


def closed(section: str, what: str, payload: bytes, code: int, reason: str = "", **more: object) -> Script:
    """The peer closes; what comes behind its Close frame is ignored."""
    sends = (Out(CLOSE, payload), BEHIND, Out(PING, b"behind"), Out(CLOSE, close_payload(1011)))
    return Script(section, what, sends, ends=code, reason=reason, **more)


def masking() -> list[Script]:
    unmasked = [bad("5.1", f"{NAMES[op]}-masked-the-wrong-way", Out(op, b"", wrong_mask=True), BEHIND) for op in OPCODES]
    return unmasked + [
        bad("5.1", "wrong-mask-with-a-payload", Out(TEXT, b"Hello", wrong_mask=True), BEHIND),
        bad("5.1", "wrong-mask-in-a-second-frame", Out(TEXT, b"one"), Out(TEXT, b"two", wrong_mask=True), receives=("one",)),
        bad("5.1", "wrong-mask-noticed-in-the-header", Out(BINARY, b"", length=70000, wrong_mask=True)),
        good("5.3", "key-of-zeros", Out(TEXT, b"Hello", key=bytes(4)), receives=("Hello",), side="server"),
        good(
            "5.3",
            "another-key-for-each-frame",
            *(Out(BINARY, bytes(range(size)), key=bytes([size, 255 - size, 128, 0])) for size in range(9)),
            receives=tuple(bytes(range(size)) for size in range(9)),
            side="server",
        ),
    ]


def lengths() -> list[Script]:
    found = []
    for size in SIZES:
        found.append(good("5.2", f"text-of-{size}-bytes", Out(TEXT, b"*" * size), receives=("*" * size,)))
        found.append(good("5.2", f"binary-of-{size}-bytes", Out(BINARY, b"\xfe" * size), receives=(b"\xfe" * size,)))
    for size, form in ((0, 16), (1, 16), (125, 16), (0, 64), (125, 64), (126, 64), (65535, 64)):
        for opcode in (TEXT, BINARY):
            what = f"{NAMES[opcode]}-of-{size}-bytes-with-a-length-of-{form}-bits"
            found.append(bad("5.2", what, Out(opcode, b"*" * size, form=form), BEHIND))
    for length in (1 << 63, (1 << 63) + 5, (1 << 64) - 1):
        found.append(bad("5.2", f"length-{length:#x}", Out(BINARY, b"*" * 5, length=length)))
    return found


def reserved() -> list[Script]:
    found = []
    for opcode in OPCODES:
        for rsv in (0x40, 0x20, 0x10, 0x70):
            found.append(bad("5.2", f"{NAMES[opcode]}-with-reserved-bits-{rsv:#x}", Out(opcode, b"", rsv=rsv), BEHIND))
    found.append(bad("5.2", "reserved-bit-noticed-in-the-header", Out(TEXT, b"", rsv=0x40, length=70000)))
    for rsv in (0x40, 0x20, 0x10):
        sends = Out(TEXT, b"one", fin=False), Out(CONTINUATION, b"two", rsv=rsv)
        found.append(bad("5.2", f"fragment-with-reserved-bit-{rsv:#x}", *sends))
    for opcode in RESERVED_OPCODES:
        found.append(bad("5.2", f"opcode-{opcode}", Out(opcode), BEHIND))
        found.append(bad("5.2", f"opcode-{opcode}-unfinished-with-a-payload", Out(opcode, b"what", fin=False), BEHIND))
        found.append(bad("5.2", f"opcode-{opcode}-between-fragments", Out(TEXT, b"a", fin=False), Out(opcode), BEHIND))
    return found


def fragments() -> list[Script]:
    a, b, c = Out(TEXT, b"a", fin=False), Out(CONTINUATION, b"b", fin=False), Out(CONTINUATION, b"c")
    ping, pong = Out(PING, b"between"), Out(PONG, b"nobody asked")
    answer = (PONG, b"between")
    many = 500
    return [
        good("5.4", "two-fragments", a, c, receives=("ac",)),
        good("5.4", "three-fragments", a, b, c, receives=("abc",)),
        good("5.4", "two-messages", a, b, c, a, c, receives=("abc", "ac")),
        good("5.4", "an-empty-first-fragment", Out(TEXT, fin=False), c, receives=("c",)),
        good("5.4", "an-empty-last-fragment", a, Out(CONTINUATION), receives=("a",)),
        good(
            "5.4", "only-empty-fragments", Out(TEXT, fin=False), Out(CONTINUATION, fin=False), Out(CONTINUATION), receives=("",)
        ),
        good("5.4", "only-empty-fragments-binary", Out(BINARY, fin=False), Out(CONTINUATION), receives=(b"",)),
        good("5.4", "binary-fragments", Out(BINARY, b"\xff", fin=False), b, c, receives=(b"\xffbc",)),
        good(
            "5.4",
            "fragments-of-every-form",
            *(Out(CONTINUATION if i else BINARY, bytes([i]) * size, fin=size == SIZES[-1]) for i, size in enumerate(SIZES)),
            receives=(b"".join(bytes([i]) * size for i, size in enumerate(SIZES)),),
        ),
        good("5.4", "many-fragments", a, *([b] * many), c, receives=("a" + "b" * many + "c",)),
        good("5.4", "a-ping-between", a, ping, c, receives=("ac",), answers=(answer,)),
        good(
            "5.4",
            "control-frames-everywhere",
            ping,
            a,
            ping,
            pong,
            b,
            pong,
            ping,
            c,
            pong,
            receives=("abc",),
            answers=(answer,) * 3,
        ),
        good("5.4", "a-ping-is-answered-before-the-message-is-over", a, ping, answers=(answer,), then=c, last="ac"),
        bad("5.4", "continuation-of-nothing", c, BEHIND),
        bad("5.4", "continuation-of-nothing-unfinished", b, BEHIND),
        bad("5.4", "continuation-of-nothing-empty", Out(CONTINUATION), BEHIND),
        bad("5.4", "continuation-after-a-whole-message", Out(TEXT, b"a"), c, receives=("a",)),
        bad("5.4", "continuation-after-the-last-fragment", a, c, c, receives=("ac",)),
        bad("5.4", "a-text-inside-a-message", a, Out(TEXT, b"b"), c),
        bad("5.4", "a-binary-inside-a-message", a, Out(BINARY, b"b"), c),
        bad("5.4", "an-unfinished-text-inside-a-message", a, a, c),
        bad("5.4", "an-empty-text-inside-a-message", a, Out(TEXT), c),
        bad("5.4", "a-long-text-inside-a-message", a, Out(TEXT, b"b" * 300), c),
        Script("5.4", "a-close-inside-a-message", (a, Out(CLOSE, close_payload(1001)), c), ends=1001, reason=""),
    ]


def control() -> list[Script]:
    found = []
    for payload in (b"", b"Hello", bytes(range(125)), b"\xff\xfe", b"\0"):
        what = f"of-{len(payload)}-bytes-{payload[:2].hex()}"
        found.append(good("5.5.2", f"ping-{what}", Out(PING, payload), answers=((PONG, payload),)))
        found.append(good("5.5.3", f"unsolicited-pong-{what}", Out(PONG, payload)))
    payloads = [str(number).encode() for number in range(10)]
    found += [
        good("5.5.2", "ten-pings", *(Out(PING, one) for one in payloads), answers=tuple((PONG, one) for one in payloads)),
        good(
            "5.5.2",
            "pings-between-messages",
            *(out for one in payloads for out in (Out(PING, one), Out(TEXT, one))),
            receives=tuple(one.decode() for one in payloads),
            answers=tuple((PONG, one) for one in payloads),
        ),
        bad("5.5.2", "a-ping-before-a-violation-is-answered", Out(PING, b"p"), Out(3), answers=((PONG, b"p"),)),
    ]
    for opcode in (CLOSE, PING, PONG):
        name = NAMES[opcode]
        payload = close_payload(1000, "x" * 123) if opcode == CLOSE else b"x" * 125
        found += [
            bad("5.5", f"{name}-of-126-bytes", Out(opcode, payload + b"x"), BEHIND),
            bad("5.5", f"{name}-of-65536-bytes", Out(opcode, payload.ljust(65536, b"x")), BEHIND),
            bad("5.5", f"{name}-of-126-bytes-noticed-in-the-header", Out(opcode, b"", length=126)),
            bad("5.5", f"{name}-with-a-length-of-16-bits", Out(opcode, payload, form=16), BEHIND),
            bad("5.5", f"{name}-with-a-length-of-64-bits", Out(opcode, payload, form=64), BEHIND),
            bad("5.5", f"{name}-unfinished", Out(opcode, payload[:2], fin=False), BEHIND),
            bad("5.5", f"{name}-unfinished-and-continued", Out(opcode, payload[:2], fin=False), Out(CONTINUATION, payload[2:])),
            bad("5.5", f"{name}-unfinished-inside-a-message", Out(TEXT, b"a", fin=False), Out(opcode, b"", fin=False), BEHIND),
        ]
    return found


GOOD_TEXTS = {
    "every-length-of-a-character": "a\u00df\u2603\U0001f600",
    "first-and-last-of-each-length": "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
    "noncharacters": "\ufdd0\ufffe\uffff\U0001fffe\U0010ffff",
    "byte-order-mark": "\ufeffa",
    "long": "\u03ba\u1f79\u03c3\u03bc\u03b5" * 4000,
}
BAD_TEXTS = {
    "continuation-byte-alone": b"\x80",
    "last-continuation-byte-alone": b"\xbf",
    "two-bytes-cut": b"\xc3",
    "three-bytes-cut": b"\xe2\x98",
    "four-bytes-cut": b"\xf0\x9f\x98",
    "too-long-for-a-slash": b"\xc0\xaf",
    "too-long-for-a-nul": b"\xc0\x80",
    "too-long-in-three": b"\xe0\x80\xaf",
    "too-long-in-four": b"\xf0\x80\x80\xaf",
    "first-surrogate": b"\xed\xa0\x80",
    "last-surrogate": b"\xed\xbf\xbf",
    "surrogate-pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond-the-last-character": b"\xf4\x90\x80\x80",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "six-bytes": b"\xfc\x84\x80\x80\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "no-continuation-byte": b"\xc3(",
    "one-continuation-byte-of-two": b"\xe2\x98(",
}


def utf8() -> list[Script]:
    found = []
    for name, text in GOOD_TEXTS.items():
        data = text.encode()
        found.append(good("5.6", f"text-{name}", Out(TEXT, data), receives=(text,)))
        cuts = [Out(CONTINUATION if i else TEXT, data[i : i + 1], fin=i == len(data) - 1) for i in range(len(data))]
        if len(cuts) < 100:
            found.append(good("5.6", f"text-{name}-in-fragments-of-one-byte", *cuts, receives=(text,)))
    for name, data in BAD_TEXTS.items():
        found += [
            bad("8.1", f"text-{name}", Out(TEXT, b"before" + data), BEHIND, code=1007),
            bad("8.1", f"text-{name}-in-the-last-fragment", Out(TEXT, b"b", fin=False), Out(CONTINUATION, data), code=1007),
            good("5.6", f"binary-{name}", Out(BINARY, data), receives=(data,)),
        ]
        # Nothing more comes, and the connection is failed all the same, unless the next byte could have made it right.
        if "cut" not in name:
            found += [
                bad("8.1", f"text-{name}-in-an-unfinished-message", Out(TEXT, data, fin=False), code=1007),
                bad("8.1", f"text-{name}-in-an-unfinished-frame", Out(TEXT, data, length=len(data) + 70000), code=1007),
            ]
    found += [
        bad(
            "8.1",
            "character-cut-by-a-ping-and-never-finished",
            Out(TEXT, b"\xe2", fin=False),
            Out(PING, b"p"),
            Out(CONTINUATION, b"\x98"),
            code=1007,
            answers=((PONG, b"p"),),
        ),
        bad("8.1", "too-large-noticed-at-its-second-byte", Out(TEXT, b"\xf4\x90", fin=False), code=1007),
        bad("8.1", "a-second-text-after-a-good-one", Out(TEXT, b"good"), Out(TEXT, b"\xff"), code=1007, receives=("good",)),
    ]
    return found


def examples() -> list[Script]:
    """The bytes of section 5.7, as they stand there."""
    hello = bytes.fromhex("48656c6c6f")
    blob, large = bytes(range(256)), bytes(range(256)) * 256
    return [
        good("5.7", "single-frame-unmasked", bytes.fromhex("8105") + hello, receives=("Hello",), side="client"),
        good("5.7", "single-frame-masked", bytes.fromhex("818537fa213d7f9f4d5158"), receives=("Hello",), side="server"),
        good("5.7", "fragmented-unmasked", bytes.fromhex("010348656c80026c6f"), receives=("Hello",), side="client"),
        good("5.7", "ping-unmasked", bytes.fromhex("8905") + hello, answers=((PONG, hello),), side="client"),
        good("5.7", "pong-masked", bytes.fromhex("8a8537fa213d7f9f4d5158"), side="server"),
        good("5.7", "256-bytes-unmasked", bytes.fromhex("827e0100") + blob, receives=(blob,), side="client"),
        good("5.7", "64-kib-unmasked", bytes.fromhex("827f0000000000010000") + large, receives=(large,), side="client"),
    ]


GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32768, 65535)


def closing() -> list[Script]:
    found = [closed("7.4", f"code-{code}", close_payload(code), code) for code in GOOD_CODES]
    found += [bad("7.4", f"code-{code}", Out(CLOSE, close_payload(code, "why")), BEHIND) for code in BAD_CODES]
    for name, data in BAD_TEXTS.items():
        found.append(bad("5.5.1", f"reason-{name}", Out(CLOSE, close_payload(1000) + b"why" + data), BEHIND, code=1007))
    for name, text in GOOD_TEXTS.items():
        if len(text.encode()) < 124:
            found.append(closed("7.1.6", f"reason-{name}", close_payload(1000, text), 1000, text))
    half = Out(TEXT, b"half of a frame", length=300)
    return found + [
        closed("7.1.5", "no-code", b"", 1005),
        closed("7.1.6", "longest-reason", close_payload(4000, "x" * 123), 4000, "x" * 123),
        bad("5.5.1", "payload-of-one-byte", Out(CLOSE, b"\x03"), BEHIND),
        Script(
            "7.1.4", "a-message-before", (Out(TEXT, b"last"), Out(CLOSE, close_payload(1000))), ("last",), ends=1000, reason=""
        ),
        Script("7.1.4", "a-ping-before", (Out(PING, b"p"), Out(CLOSE)), answers=((PONG, b"p"),), ends=1005),
        Script("7.1.5", "no-close-frame", (), ends=1006, cut=True),
        Script("7.1.5", "no-close-frame-after-a-message", (Out(TEXT, b"last"),), ("last",), ends=1006, cut=True),
        Script(
            "7.1.5", "end-of-tcp-inside-a-header", (Out(TEXT, b"x" * 300).wire(True)[:3],), ends=1006, cut=True, side="server"
        ),
        Script("7.1.5", "end-of-tcp-inside-a-frame", (half,), ends=1006, cut=True),
        Script("7.1.5", "end-of-tcp-inside-a-message", (Out(TEXT, b"a", fin=False),), ends=1006, cut=True),
        Script("7.1.5", "end-of-tcp-inside-a-ping", (Out(PING, b"abc", length=5),), ends=1006, cut=True),
        Script("7.1.5", "end-of-tcp-inside-a-close", (Out(CLOSE, b"\x03", length=2),), ends=1006, cut=True),
        bad("7.1.7", "the-first-violation-counts", Out(3), Out(TEXT, b"\xff"), Out(CLOSE, close_payload(4000))),
        bad("7.1.7", "an-http-response", b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
    ]


def limits() -> list[Script]:
    at_100 = {"max_message_size": 100}
    a = Out(BINARY, b"a" * 60, fin=False)
    return [
        good("10.4", "the-largest-message", Out(BINARY, b"x" * 100), receives=(b"x" * 100,), options=at_100),
        good(
            "10.4",
            "the-largest-message-again-and-again",
            *([Out(TEXT, b"x" * 100)] * 5),
            receives=("x" * 100,) * 5,
            options=at_100,
        ),
        good("10.4", "the-largest-message-in-fragments", a, Out(CONTINUATION, b"a" * 40), receives=(b"a" * 100,), options=at_100),
        good(
            "10.4",
            "control-frames-do-not-count",
            a,
            Out(PING, b"p" * 125),
            Out(CONTINUATION, b"a" * 40),
            receives=(b"a" * 100,),
            answers=((PONG, b"p" * 125),),
            options=at_100,
        ),
        bad("10.4", "one-byte-too-many", Out(BINARY, b"x" * 101), BEHIND, code=1009, options=at_100),
        bad("10.4", "one-byte-too-many-of-text", Out(TEXT, "\u00e9".encode() * 50 + b"x"), code=1009, options=at_100),
        bad("10.4", "too-many-in-fragments", a, Out(CONTINUATION, b"a" * 41), BEHIND, code=1009, options=at_100),
        bad("10.4", "too-many-in-unfinished-fragments", a, Out(CONTINUATION, b"a" * 41, fin=False), code=1009, options=at_100),
        bad("10.4", "noticed-in-the-header", Out(BINARY, b"", length=101), code=1009, options=at_100),
        bad("10.4", "a-length-of-exabytes", Out(BINARY, b"xyz", length=(1 << 63) - 1), code=1009, options=at_100),
        bad(
            "10.4",
            "noticed-in-the-header-of-a-fragment",
            a,
            Out(CONTINUATION, b"", length=41, fin=False),
            code=1009,
            options=at_100,
        ),
        bad(
            "10.4",
            "limit-0-lets-empty-messages-pass",
            Out(TEXT),
            Out(TEXT, b"x"),
            receives=("",),
            code=1009,
            options={"max_message_size": 0},
        ),
        Script("10.4", "a-length-of-exabytes-without-a-limit", (Out(BINARY, b"xyz", length=(1 << 63) - 1),), ends=1006, cut=True),
    ]


SCRIPTS = [
    *masking(),
    *lengths(),
    *reserved(),
    *fragments(),
    *control(),
    *utf8(),
    *examples(),
    *closing(),
    *limits(),
]
