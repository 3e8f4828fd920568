"""The targets: functions of bytes.  Each says in a word what came of an input; it raises when something is wrong.

The first bytes of an input choose what was negotiated and how the rest is cut, so that a file is all that a replay needs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from simple_websocket.errors import ConnectionError
from simple_websocket.protocol.connection import Protocol
from simple_websocket.protocol.deflate import Compression, DeflateExtension
from simple_websocket.protocol.handshake import ClientHandshake, ServerHandshake, rejection
from tests.protocol.streams import Deflate, Setup
from tests.protocol.test_oracle import compare
from tests.support.wire import CONTINUATION, TEXT, Head, accept_key, frame

from .conversing import converse

Target = Callable[[bytes], str]

#: Bytes in front of a stream: options, limit, and two of the chunking's seed.
PREFIX = 4
DEFLATES = (None, Deflate(), Deflate(9, 9, True, True), Deflate(15, 12, False, True), Deflate(12, 9, True, False))
LIMITS = (None, 0, 10, 1000, None, 125, 126, 65536)


def setup_of(data: bytes, client: bool) -> tuple[Setup, int | None, int]:
    """What the first bytes of an input say: the ends, the message limit, the seed of the chunking."""
    options, limit, high, low = data[:PREFIX].ljust(PREFIX, b"\0")
    return Setup(client, DEFLATES[options % len(DEFLATES)]), LIMITS[limit % len(LIMITS)], high << 8 | low


def frames(data: bytes, client: bool) -> str:
    """The stream as it stands."""
    setup, limit, seed = setup_of(data, client)
    return str(converse(lambda: setup.ours(limit), client, limit, data[PREFIX:], seed))


def built(data: bytes, client: bool) -> str:
    """Frames whose headers and payloads are right, unless the input wants them otherwise: so it gets deep soon."""
    setup, limit, seed = setup_of(data, client)
    return str(converse(lambda: setup.ours(limit), client, limit, build(data[PREFIX:], setup), seed))


def build(data: bytes, setup: Setup) -> bytes:
    """The stream that a program of three-byte instructions and their payloads stands for."""
    window, afresh = (15, False) if setup.deflate is None else setup.deflate.of_the_peer(setup.client)
    compressor = None
    out, pos = b"", 0
    while pos + 3 <= len(data) and len(out) < 20_000:
        kind, flags, size = data[pos : pos + 3]
        payload = data[pos + 3 : pos + 3 + size]
        pos += 3 + size
        payload *= (1, 1, 1, 2, 30, 600)[flags % 6]
        opcode = kind & 0x0F
        if kind & 0x10:
            opcode = TEXT if kind & 0x20 else CONTINUATION
        rsv = 0
        if kind & 0x40 and setup.deflate is not None:
            rsv = 0x40 if opcode != CONTINUATION else 0
            if compressor is None or afresh:
                compressor = zlib.compressobj(flags % 10, zlib.DEFLATED, -window)
            last = flags & 0x20
            payload = compressor.compress(payload) + compressor.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
            if last:
                payload, compressor = payload + b"\0", None
            elif flags & 0x40:
                payload = payload.removesuffix(b"\x00\x00\xff\xff")
        if flags & 0x80:
            rsv ^= size & 0x70
        out += frame(opcode, payload, fin=not kind & 0x80, rsv=rsv, masked=not setup.client)
    return out + data[pos:]


def oracle(data: bytes) -> str:
    """Our core and wsproto's, frame by frame and error by error."""
    setup, _, seed = setup_of(data, bool(data[:1] and data[0] & 0x80))
    stream = data[PREFIX:]
    if seed & 1:
        stream = build(stream, setup)
    step = seed % 61 + 1
    return compare(setup, [stream[i : i + step] for i in range(0, len(stream), step)])


def server_handshake(data: bytes) -> str:
    """A request in any state: a ConnectionError to answer it with, or a response that is right."""
    start, *lines = data.decode("latin-1").split("\n")
    method, _, target = start.strip().partition(" ")
    headers = [(name, value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon]
    try:
        handshake = ServerHandshake(method, target, headers, Compression())
    except ConnectionError as error:
        assert error.status_code in (400, 426)
        Head(rejection(error).partition(b"\r\n\r\n")[0])
        return str(error.status_code)
    response = handshake.accept(None)
    head = Head(response)
    assert response.startswith(b"HTTP/1.1 101") and response.endswith(b"\r\n\r\n") and response.count(b"\r\n\r\n") == 1
    keys = [value for name, value in headers if name.lower() == "sec-websocket-key"]
    assert head.headers["sec-websocket-accept"] == accept_key(keys[0])
    assert handshake.deflate is None or "sec-websocket-extensions" in head.headers
    return "101" if handshake.deflate is None else "101 with permessage-deflate"


def client_handshake(data: bytes) -> str:
    """A response in any state, whole and in pieces: a ConnectionError, or an open connection.

    ``@accept`` in it stands for what the server should say.
    """
    step, response = data[:1] or b"\0", data[1:]
    whole = _respond(response, len(response) or 1)
    parts = _respond(response, step[0] % 40 + 1)
    assert parts == whole, f"{parts}, in one: {whole}"
    return f"{whole[0]} {whole[1]}" if whole[0] == "refused" else str(whole[0])


def _respond(response: bytes, step: int) -> tuple[object, ...]:
    handshake = ClientHandshake("example.org", "/", ["a", "b"], None, Compression())
    key = Head(handshake.request).headers["sec-websocket-key"]
    # Only the first: behind the head it would be data that differs with each key.
    response = response.replace(b"@accept", accept_key(key).encode(), 1)
    behind = b""
    try:
        for start in range(0, len(response), step):
            chunk = response[start : start + step]
            if handshake.accepted:
                behind += chunk
            else:
                behind += handshake.receive_data(chunk)
        if not handshake.accepted:
            handshake.receive_eof()
    except ConnectionError as error:
        assert not handshake.accepted
        rejection(error)
        return ("refused", error.status_code)
    assert handshake.accepted and handshake.subprotocol in (None, "a", "b")
    return ("accepted", handshake.subprotocol, handshake.deflate is None, behind)


def negotiation(data: bytes) -> str:
    """Offers and answers in any state; then our own two ends with any settings, which must understand each other."""
    text = data[PREFIX:].decode("latin-1")
    server, client = DeflateExtension(Compression(), client=False), DeflateExtension(Compression(), client=True)
    declined = server.accept(text) is None
    assert declined is not server.agreed
    try:
        client.finalize(text)
    except ValueError:
        assert not client.agreed
    settings = [_settings(byte, more) for byte, more in ((data[:1], data[1:2]), (data[2:3], data[3:4]))]
    server, client = DeflateExtension(settings[0], client=False), DeflateExtension(settings[1], client=True)
    answer = server.accept("permessage-deflate; " + client.offer())
    assert answer is not None
    client.finalize("permessage-deflate; " + answer)
    ends = [Protocol(client=True, deflate=client, max_message_size=None, close_timeout=5.0, keepalive=None)]
    ends.append(Protocol(client=False, deflate=server, max_message_size=None, close_timeout=5.0, keepalive=None))
    for message in (data, data[::-1], b"", data * 3):
        for sender, receiver in (ends, ends[::-1]):
            said = sender.send(message)
            receiver.receive_data(said if isinstance(said, bytes) else b"".join(said))
            assert receiver.next_event() == message
    return "declined" if declined else "agreed"


def _settings(first: bytes, second: bytes) -> Compression:
    one, two = (first or b"\0")[0], (second or b"\0")[0]
    bits = (None, 9, 10, 11, 12, 13, 14, 15)
    return Compression(
        one % 10, two % 9 + 1, bits[one >> 5], bits[two >> 5], bool(one & 16), bool(two & 16), threshold=0 if two & 8 else 64
    )


TARGETS: dict[str, Target] = {
    "frames-server": lambda data: frames(data, client=False),
    "frames-client": lambda data: frames(data, client=True),
    "built-server": lambda data: built(data, client=False),
    "built-client": lambda data: built(data, client=True),
    "oracle": oracle,
    "server-handshake": server_handshake,
    "client-handshake": client_handshake,
    "negotiation": negotiation,
}
