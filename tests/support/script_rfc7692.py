"""Scripts for RFC 7692: compressed messages, right and wrong, and what is negotiated about them."""

from __future__ import annotations

import zlib

from .script import Out, Script
from .wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload

RSV1 = 0x40
PLAIN = "permessage-deflate"
AFRESH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
SMALL = "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9"
TAIL = b"\x00\x00\xff\xff"


class Deflating:
    """A peer's compressor; one of its own for each message, unless it is kept."""

    def __init__(self, bits: int = 15, level: int = 6) -> None:
        self._zlib = zlib.compressobj(level, zlib.DEFLATED, -bits)

    def __call__(self, data: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
        return (self._zlib.compress(data) + self._zlib.flush(flush)).removesuffix(TAIL)


def packed(data: bytes, bits: int = 15, level: int = 6) -> bytes:
    return Deflating(bits, level)(data)


def final(data: bytes) -> bytes:
    """With a last block, and the empty one that has to be behind it (section 7.2.3.4)."""
    return Deflating()(data, zlib.Z_FINISH) + b"\x00"


def message(data: bytes, opcode: int = TEXT) -> Out:
    """A compressed message whose payload is this."""
    return Out(opcode, data, rsv=RSV1)


def pieces(opcode: int, data: bytes, *cuts: int) -> list[Out]:
    """The same in fragments: RSV1 is on the first only (section 6.1)."""
    starts, ends = [0, *cuts], [*cuts, len(data)]
    found = []
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        last = end is ends[-1] and i == len(cuts)
        found.append(Out(CONTINUATION if i else opcode, data[start:end], fin=last, rsv=0 if i else RSV1))
    return found


def good(section: str, what: str, *sends: Out, deflate: str = PLAIN, **more: object) -> Script:
    return Script(section, what, sends, deflate=deflate, **more)


def bad(section: str, what: str, *sends: Out, code: int = 1002, deflate: str = PLAIN, **more: object) -> Script:
    return Script(section, what, sends, ends=code, fails=True, deflate=deflate, **more)


HELLO = bytes.fromhex("f248cdc9c90700")
LONG = "words and words and \u2603 " * 300
WHOLE = packed(LONG.encode())


def reserved_bits() -> list[Script]:
    """Section 6: RSV1 on the first frame of a message, and nowhere else."""
    found = [
        good("6.1", "not-compressed-though-agreed", Out(TEXT, b"plain"), receives=("plain",)),
        good(
            "6.1",
            "by-turns",
            message(HELLO),
            Out(TEXT, b"plain"),
            message(packed(b"x"), BINARY),
            receives=("Hello", "plain", b"x"),
            deflate=AFRESH,
        ),
        bad("6.1", "rsv1-on-a-later-fragment", Out(TEXT, HELLO[:3], fin=False, rsv=RSV1), Out(CONTINUATION, HELLO[3:], rsv=RSV1)),
        bad("6.1", "rsv1-on-a-later-fragment-only", Out(TEXT, b"a", fin=False), Out(CONTINUATION, HELLO, rsv=RSV1)),
        bad("6.1", "rsv1-on-a-continuation-of-nothing", Out(CONTINUATION, HELLO, rsv=RSV1)),
        bad("6", "rsv1-though-not-agreed", message(HELLO), deflate=None),
    ]
    for name, opcode in (("close", CLOSE), ("ping", PING), ("pong", PONG)):
        found.append(bad("5", f"rsv1-on-a-{name}", Out(opcode, b"", rsv=RSV1)))
        sends = Out(TEXT, HELLO[:3], fin=False, rsv=RSV1), Out(opcode, b"", rsv=RSV1)
        found.append(bad("5", f"rsv1-on-a-{name}-between-fragments", *sends))
    for rsv in (0x20, 0x10, 0x60, 0x70):
        found.append(bad("6", f"other-reserved-bits-{rsv:#x}", Out(TEXT, HELLO, rsv=rsv)))
    return found


def examples() -> list[Script]:
    """The bytes of section 7.2.3."""

    def bits(text: str) -> Out:
        return message(bytes.fromhex(text))

    two = "HelloHello"
    return [
        good("7.2.3.1", "one-block", bits("f248cdc9c90700"), receives=("Hello",)),
        good("7.2.3.1", "one-block-in-two-fragments", *pieces(TEXT, HELLO, 3), receives=("Hello",)),
        good("7.2.3.2", "shared-window", bits("f248cdc9c90700"), bits("f200110000"), receives=("Hello", "Hello")),
        good("7.2.3.3", "block-without-compression", bits("000500faff48656c6c6f00"), receives=("Hello",)),
        good("7.2.3.4", "block-with-bfinal", bits("f348cdc9c9070000"), receives=("Hello",)),
        good(
            "7.2.3.4",
            "messages-behind-bfinal",
            *[bits("f348cdc9c9070000")] * 3,
            bits("f248cdc9c90700"),
            bits("f200110000"),
            receives=("Hello",) * 5,
        ),
        good(
            "7.2.3.4",
            "bfinal-in-fragments-of-one-byte",
            *pieces(TEXT, bytes.fromhex("f348cdc9c9070000"), *range(1, 8)),
            Out(TEXT, b"plain"),
            receives=("Hello", "plain"),
        ),
        good("7.2.3.4", "data-behind-bfinal-in-one-message", message(final(b"Hello")[:-1] + packed(b"Hello")), receives=(two,)),
        good("7.2.3.5", "two-blocks", bits("f248050000" + "00ffffcac9c90700"), receives=("Hello",)),
        good("7.2.3.6", "an-empty-message", bits("00"), receives=("",)),
        good(
            "7.2.3.6",
            "empty-messages-between-others",
            bits("00"),
            bits("f248cdc9c90700"),
            bits("00"),
            bits("f200110000"),
            receives=("", "Hello", "", "Hello"),
        ),
    ]


def streams() -> list[Script]:
    """Sections 7.2.1 and 7.2.2: what compressors make."""
    found = []
    for level in (0, 1, 6, 9):
        what = f"level-{level}"
        found.append(good("7.2.1", what, message(packed(LONG.encode(), level=level)), receives=(LONG,)))
    for bits in (9, 12, 15):
        kept, data = Deflating(bits), b"the same again and again " * 40
        found.append(
            good("7.2.1", f"window-of-{bits}-bits", *(message(kept(data), BINARY) for _ in range(4)), receives=(data,) * 4)
        )
    kept = Deflating(9)
    found += [
        good(
            "7.1.2",
            "small-window-agreed",
            *(message(kept(LONG.encode())) for _ in range(3)),
            receives=(LONG,) * 3,
            deflate=SMALL,
            side="server",
        ),
        good("7.1.1", "no-context-takeover", *[message(WHOLE)] * 3, receives=(LONG,) * 3, deflate=AFRESH),
        good("7.1.1", "a-context-thrown-away-without-having-agreed-to-it", *[message(WHOLE)] * 3, receives=(LONG,) * 3),
        good("7.2.2", "without-any-flush-but-the-last", message(WHOLE), receives=(LONG,)),
        good("7.2.2", "a-whole-tail-left-on", message(HELLO + TAIL + b"\x00"), receives=("Hello",)),
        good("7.2.2", "fixed-codes", message(zlib_with(zlib.Z_FIXED)), receives=(LONG,)),
        good("7.2.2", "huffman-only", message(zlib_with(zlib.Z_HUFFMAN_ONLY)), receives=(LONG,)),
        good("7.2.2", "full-flushes", message(flushed(zlib.Z_FULL_FLUSH)), receives=("x" * 3000,)),
        good("6.1", "fragments", *pieces(TEXT, WHOLE, 1, 2, 10, len(WHOLE) - 1), receives=(LONG,)),
        good("6.1", "fragments-of-one-byte", *pieces(TEXT, WHOLE, *range(1, len(WHOLE))), receives=(LONG,)),
        good("6.1", "empty-fragments", *pieces(TEXT, HELLO, 0, 0, 3, 3, 7), receives=("Hello",)),
        good(
            "6.1",
            "control-frames-between-fragments",
            pieces(TEXT, HELLO, 3)[0],
            Out(PING, b"p"),
            Out(PONG, b"?"),
            pieces(TEXT, HELLO, 3)[1],
            receives=("Hello",),
            answers=((PONG, b"p"),),
        ),
        good("6.1", "a-long-message", message(packed(bytes(1 << 20)), BINARY), receives=(bytes(1 << 20),)),
        Script(
            "6.1",
            "a-close-between-fragments",
            (pieces(TEXT, HELLO, 3)[0], Out(CLOSE, close_payload(1001))),
            ends=1001,
            deflate=PLAIN,
        ),
        Script("6.1", "the-end-of-tcp-between-fragments", (pieces(TEXT, HELLO, 3)[0],), ends=1006, cut=True, deflate=PLAIN),
    ]
    return found


def zlib_with(strategy: int) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15, 8, strategy)
    return (compressor.compress(LONG.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def flushed(flush: int) -> bytes:
    kept = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = b"".join(kept.compress(b"x" * 1000) + kept.flush(flush) for _ in range(3))
    return data.removesuffix(TAIL)


WRONG = {
    "reserved-block-type": b"\xff\xff\xff\xff",
    "stored-block-with-a-wrong-length": bytes.fromhex("000500000048656c6c6f00"),
    "distance-before-the-start": bytes.fromhex("f200110000"),
    "code-lengths-that-are-none": b"\x04\xff\xff\xff\xff\xff",
    "behind-bfinal": b"\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff\xff",
}
BOMB = packed(bytes(4 << 20), level=9)


def wrong() -> list[Script]:
    """Section 7.2.2 and RFC 6455 section 7.1.7: what cannot be inflated, or must not."""
    found = [bad("7.2.2", name, message(data), code=1007) for name, data in WRONG.items()]
    found += [bad("7.2.2", f"{name}-binary", message(data, BINARY), code=1007) for name, data in WRONG.items()]
    found += [bad("7.2.2", f"{name}-in-fragments", *pieces(TEXT, data, 1, 2), code=1007) for name, data in WRONG.items()]
    at_1000 = {"max_message_size": 1000}
    half = packed(b"a" * 600)
    found += [
        bad("7.2.2", "wrong-utf-8", message(packed(b"a\xff")), code=1007),
        bad("7.2.2", "cut-utf-8", message(packed("\u2603".encode()[:2])), code=1007),
        bad("7.2.2", "wrong-utf-8-in-an-unfinished-message", Out(TEXT, packed(b"\xff") + TAIL, fin=False, rsv=RSV1), code=1007),
        bad(
            "7.1.1",
            "a-context-that-was-to-be-thrown-away",
            message(HELLO),
            message(bytes.fromhex("f200110000")),
            receives=("Hello",),
            code=1007,
            deflate=AFRESH,
        ),
        good("8", "as-large-as-allowed", message(packed(b"x" * 1000)), receives=("x" * 1000,), options=at_1000),
        good(
            "8",
            "as-large-as-allowed-stored",
            message(packed(bytes(range(250)) * 4, level=0), BINARY),
            receives=(bytes(range(250)) * 4,),
            options=at_1000,
        ),
        bad("8", "one-byte-larger", message(packed(b"x" * 1001)), code=1009, options=at_1000),
        bad("8", "one-byte-larger-in-fragments", *pieces(BINARY, packed(b"x" * 1001), 2, 5), code=1009, options=at_1000),
        bad(
            "8",
            "in-two-fragments-together",
            Out(BINARY, half + TAIL, fin=False, rsv=RSV1),
            Out(CONTINUATION, half),
            code=1009,
            options=at_1000,
        ),
        bad("8", "decompression-bomb", message(BOMB, BINARY), code=1009, options={"max_message_size": 100_000}),
        bad(
            "8",
            "decompression-bomb-in-the-first-fragment",
            *pieces(BINARY, BOMB, 1000)[:1],
            code=1009,
            options={"max_message_size": 100_000},
        ),
        bad("8", "decompression-bomb-behind-bfinal", message(final(b"x")[:-1] + BOMB, BINARY), code=1009, options=at_1000),
        bad(
            "8",
            "a-header-that-announces-more-than-could-be-inflated",
            Out(BINARY, b"", rsv=RSV1, length=1 << 40),
            code=1009,
            options=at_1000,
        ),
    ]
    return found


SCRIPTS = [*reserved_bits(), *examples(), *streams(), *wrong()]


# Negotiation: (section and what, the offer of a client, options of the server, its answer or None)

OFFERS = [
    ("7.1-nothing-offered", None, {}, None),
    ("7.1-the-offer-alone", "permessage-deflate", {}, "permessage-deflate"),
    ("7.1-switched-off", "permessage-deflate", {"compression": False}, None),
    ("5.1-another-extension", "x-webkit-deflate-frame", {}, None),
    ("5.1-another-extension-before", "foo; a=1, permessage-deflate", {}, "permessage-deflate"),
    (
        "5.1-the-first-that-can-be-met",
        "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
        {},
        "permessage-deflate; server_max_window_bits=10",
    ),
    (
        "5.1-two-that-can-be-met",
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        {},
        "permessage-deflate; server_max_window_bits=10",
    ),
    (
        "7.1.1.1-server-no-context-takeover",
        "permessage-deflate; server_no_context_takeover",
        {},
        "permessage-deflate; server_no_context_takeover",
    ),
    (
        "7.1.1.2-client-no-context-takeover",
        "permessage-deflate; client_no_context_takeover",
        {},
        "permessage-deflate; client_no_context_takeover",
    ),
    *(
        (
            f"7.1.2.1-server-window-{bits}",
            f"permessage-deflate; server_max_window_bits={bits}",
            {},
            f"permessage-deflate; server_max_window_bits={bits}",
        )
        for bits in range(9, 16)
    ),
    ("7.1.2.1-server-window-8", "permessage-deflate; server_max_window_bits=8", {}, None),
    (
        "7.1.2.1-server-window-quoted",
        'permessage-deflate; server_max_window_bits="10"',
        {},
        "permessage-deflate; server_max_window_bits=10",
    ),
    (
        "7.1.2.2-client-window-without-value",
        "permessage-deflate; client_max_window_bits",
        {},
        "permessage-deflate; client_max_window_bits=12",
    ),
    *(
        (
            f"7.1.2.2-client-window-{bits}",
            f"permessage-deflate; client_max_window_bits={bits}",
            {},
            f"permessage-deflate; client_max_window_bits={min(bits, 12)}",
        )
        for bits in range(8, 16)
    ),
    *(
        (f"7.1-declined-{parameters}", f"permessage-deflate; {parameters}", {}, None)
        for parameters in (
            "unknown",
            "unknown=1",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=010",
            "server_max_window_bits=+9",
            "server_max_window_bits=ten",
            "server_max_window_bits=",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=0",
            "client_max_window_bits=-9",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "server_no_context_takeover; server_no_context_takeover",
            "client_max_window_bits; client_max_window_bits=10",
            "server_max_window_bits=10; server_max_window_bits=10",
        )
    ),
]

# (section and what, options of the client, the answer of a server, whether it may be accepted)
ANSWERS = [
    ("7.1-declined", {}, None, True),
    ("7.1-without-parameters", {}, "permessage-deflate", True),
    ("7.1.1.1-server-no-context-takeover", {}, "permessage-deflate; server_no_context_takeover", True),
    ("7.1.1.2-client-no-context-takeover", {}, "permessage-deflate; client_no_context_takeover", True),
    *((f"7.1.2.1-server-window-{bits}", {}, f"permessage-deflate; server_max_window_bits={bits}", True) for bits in range(8, 16)),
    *((f"7.1.2.2-client-window-{bits}", {}, f"permessage-deflate; client_max_window_bits={bits}", True) for bits in range(9, 16)),
    ("7.1-everything", {}, AFRESH + "; server_max_window_bits=9; client_max_window_bits=9", True),
    ("7.1-nothing-was-offered", {"compression": False}, "permessage-deflate", False),
    ("9.1-another-extension", {}, "foo", False),
    ("9.1-another-extension-beside-it", {}, "permessage-deflate, foo", False),
    ("9.1-accepted-twice", {}, "permessage-deflate, permessage-deflate", False),
    ("7.1.2.2-client-window-8", {}, "permessage-deflate; client_max_window_bits=8", False),
    *(
        (f"7.1-refused-{parameters}", {}, f"permessage-deflate; {parameters}", False)
        for parameters in (
            "unknown",
            "unknown=1",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "client_max_window_bits",
            "client_max_window_bits=16",
            "client_max_window_bits=ten",
            "server_no_context_takeover=1",
            "client_no_context_takeover=0",
            "server_no_context_takeover; server_no_context_takeover",
            "server_max_window_bits=9; server_max_window_bits=9",
        )
    ),
]
