"""PayloadBuffer, in C: large payloads are received in their place, with the same messages and errors as piece by piece."""

import gc
import random
import threading

import pytest

from simple_websocket.protocol import frames

from .wire import BINARY, CONTINUATION, KEY, PING, TEXT, client, drain, events_of, frame, header, server, xor

PayloadBuffer = pytest.importorskip("simple_websocket.protocol._speedups", reason="not built here").PayloadBuffer
COLLECTS = frames.PayloadBuffer is not None  # it is not used with SIMPLE_WEBSOCKET_PURE
SIZES = [1, 3, 8192, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 200_001, 3 << 20]


def sample(size):
    return random.Random(size).randbytes(size)


def fill(buffer, data, step):
    """Write all of it into the buffer's views, at most so much at a time."""
    before, done = buffer.filled, 0
    while done < len(data):
        with memoryview(buffer) as view:
            count = min(step, len(view), len(data) - done)
            view[:count] = data[done : done + count]
        buffer.received(count)
        done += count
        assert buffer.filled == before + done


@pytest.mark.parametrize("key", [b"", KEY])
@pytest.mark.parametrize("step", [1000, 1 << 16, 1 << 30])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_into_the_view(size, step, key):
    payload = sample(size)
    wire = xor(payload, key) if key else payload
    buffer = PayloadBuffer(size, key, False)
    fill(buffer, wire[:-1], step)
    assert not buffer.ready
    fill(buffer, wire[-1:], 1)
    assert buffer.ready
    assert buffer.take() == payload


@pytest.mark.parametrize("key", [b"", KEY])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_put(size, key):
    payload = sample(size)
    wire = xor(payload, key) if key else payload
    buffer = PayloadBuffer(size, key, False)
    pos = 0
    while not buffer.ready:
        pos += buffer.put(b"other" + wire[: pos + 77_777] + b"behind"[: 6 if pos + 77_777 >= size else 0], pos + 5)
    assert pos == size and buffer.take() == payload


def test_it_grows_with_what_comes():
    buffer = PayloadBuffer(1 << 62, KEY, False)
    for _ in range(60):
        with memoryview(buffer) as view:
            room = len(view)
        assert 0 < room <= max(32 * 1024, 4 * buffer.filled, 32 * min(buffer.filled, 16 * 1024))
        buffer.received(min(room, 5000))
    assert room > 100_000


@pytest.mark.parametrize("key", [b"", KEY])
def test_a_text_is_ready_with_the_first_character_that_is_not_ascii(key):
    buffer = PayloadBuffer(100_000, key, True)
    text = b"a" * 50_000 + "é".encode()
    wire = xor(text, key) if key else text
    fill(buffer, wire[:-2], 7000)
    assert not buffer.ready
    fill(buffer, wire[-2:-1], 1)
    assert buffer.ready and buffer.take() == text[:-1]


def test_an_ascii_text_is_ready_at_its_end():
    buffer = PayloadBuffer(100_000, b"", True)
    fill(buffer, b"a" * 99_999, 7000)
    assert not buffer.ready
    fill(buffer, b"a", 1)
    assert buffer.ready and buffer.take() == b"a" * 100_000


def test_a_view_that_lives_on():
    """An event loop has its view a moment longer: it can write into nothing that somebody else has."""
    buffer = PayloadBuffer(100_000, b"", False)
    first = memoryview(buffer)
    first[:] = b"1" * len(first)
    buffer.received(len(first))
    second = memoryview(buffer)  # which had to grow
    second[:] = b"2" * len(second)
    first[:] = b"x" * len(first)
    buffer.received(len(second))
    payload = buffer.take()
    assert payload == b"1" * len(first) + b"2" * len(second)
    held = PayloadBuffer(100_000, b"", False)
    view = memoryview(held)
    view[:3] = b"abc"
    held.received(3)
    taken = held.take()
    view[:3] = b"xyz"
    assert taken == b"abc"
    del held, buffer
    gc.collect()
    view[:3] = first[:3] = second[:3] = b"123"


@pytest.mark.parametrize(
    "call",
    [
        lambda buffer: buffer.received(-1),
        lambda buffer: buffer.received(11),
        lambda buffer: buffer.received(1 << 70),
        lambda buffer: buffer.received("1"),
        lambda buffer: buffer.put(b"abc", 4),
        lambda buffer: buffer.put(b"abc", -1),
        lambda buffer: buffer.put(b"abc"),
        lambda buffer: buffer.put(bytearray(3), 0),
        lambda buffer: buffer.put(b"abc", "0"),
        lambda buffer: PayloadBuffer(0, b"", False),
        lambda buffer: PayloadBuffer(-1, b"", False),
        lambda buffer: PayloadBuffer(5, b"abc", False),
        lambda buffer: PayloadBuffer("5", b"", False),
    ],
)
def test_wrong_arguments(call):
    buffer = PayloadBuffer(10, b"", False)
    with pytest.raises((ValueError, TypeError, OverflowError)):
        call(buffer)
    assert buffer.put(b"0123456789", 0) == 10 and buffer.take() == b"0123456789"


@pytest.mark.parametrize("call", [memoryview, lambda b: b.take(), lambda b: b.received(0), lambda b: b.put(b"", 0)])
def test_after_it_was_taken(call):
    buffer = PayloadBuffer(1, b"", False)
    buffer.put(b"x", 0)
    assert buffer.take() == b"x"
    with pytest.raises(ValueError, match="taken"):
        call(buffer)


def test_what_is_complete_has_an_empty_view():
    buffer = PayloadBuffer(1, b"", False)
    buffer.put(b"x", 0)
    assert len(memoryview(buffer)) == 0


def test_threads_that_should_not():
    """Nothing breaks when several use one against the rules; what it makes of that is theirs."""
    for _ in range(20):
        buffer = PayloadBuffer(4 << 20, KEY, False)
        buffer.put(bytes(4 << 19), 0)

        def use(buffer=buffer):
            try:
                buffer.put(bytes(1 << 20), 0)
                buffer.take()
            except ValueError:
                pass

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


# In the decoder


def messages(protocol, data, cuts, into):
    """Feed pieces of these bytes; those that go on with a large payload are read into the buffer."""
    events, filled = [], 0
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        while start < end:
            place = protocol.decoder.place(end - start)
            if into and not isinstance(place, int):
                with memoryview(place) as view:
                    count = min(len(view), end - start)
                    view[:count] = data[start : start + count]
                protocol.receive_data(count)
                filled += 1
            else:
                count = end - start
                protocol.receive_data(data[start:end])
            start += count
            events += drain(protocol)
    return events, filled


@pytest.mark.parametrize("make, key", [(server, KEY), (client, None)])
@pytest.mark.parametrize("into", [False, True], ids=["fed", "read-into"])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_of_any_size_in_any_pieces(make, key, into, opcode):
    chance = random.Random(6455)
    filled = 0
    for _ in range(60):
        sizes = [chance.choice([0, 5, 8191, 8192, 40_000, 200_000]) + chance.randrange(3) for _ in range(5)]
        texts = [("abcdefg" * size)[: size - 1] + chance.choice(["x", "é", "xé€"]) for size in sizes]
        payloads = [text.encode() for text in texts]
        data = b"".join(frame(PING, b"hi", key=key) + frame(opcode, payload, key=key) for payload in payloads)
        protocol = make()
        cuts = sorted(chance.sample(range(1, len(data)), chance.choice([0, 1, 5, 9]))) if len(data) > 20 else []
        events, reads = messages(protocol, data, cuts, into)
        assert events == (texts if opcode == TEXT else payloads)
        assert protocol.decoder.buffer is None and protocol.decoder.exhausted and not protocol.decoder.expected
        filled += reads
    assert bool(filled) is (into and COLLECTS)


def test_what_is_expected():
    protocol = server()
    assert protocol.decoder.place(4096) == 4096
    events_of(protocol, header(BINARY, 50_000, key=KEY) + bytes(1000))
    assert protocol.decoder.expected == 49_000
    if COLLECTS:
        assert protocol.decoder.place(4096) is protocol.decoder.buffer
        protocol.receive_data(9)
    else:
        assert protocol.decoder.place(4096) == 49_000 and protocol.decoder.buffer is None
        protocol.receive_data(bytes(9))
    assert protocol.decoder.expected == 49_000 - 9 and protocol.heard == 2
    assert len(events_of(protocol, bytes(48_991))) == 1
    assert protocol.decoder.expected == 0 and protocol.decoder.place(4096) == 4096


def test_the_first_frame_of_a_large_message():
    parts = sample(100_000), sample(9000), sample(20_000)
    data = frame(BINARY, parts[0], key=KEY, fin=False) + frame(CONTINUATION, parts[1], key=KEY, fin=False)
    data += frame(CONTINUATION, parts[2], key=KEY)
    for cut in (5, 3000, 100_013, 100_018, 104_000):
        assert messages(server(), data, [cut], True)[0] == [b"".join(parts)]


@pytest.mark.parametrize("before", [b"", b"a" * 9000])
def test_wrong_utf_8_is_found_as_soon_as_it_comes(before):
    protocol = server()
    text = before + b"\xc3"
    wire = header(TEXT, 100_000, key=KEY) + xor(text, KEY)
    events_of(protocol, wire)
    assert protocol.failure is None
    turn = len(text) & 3
    events_of(protocol, xor(b"a", KEY[turn:] + KEY[:turn]))
    assert protocol.failure is not None and protocol.failure[0] == 1007
    assert protocol.decoder.buffer is None


@pytest.mark.parametrize("how", ["lost", "failed"])
def test_an_incomplete_payload_is_not_kept(how):
    protocol = server()
    events_of(protocol, header(BINARY, 50_000, key=KEY) + bytes(1000))
    if how == "lost":
        protocol.receive_data(b"")
    else:
        protocol._deaf = True
        protocol.receive_data(5)
    assert drain(protocol) == [] and protocol.decoder.buffer is None


def test_a_limit_is_checked_on_the_header():
    protocol = server(9000)
    events_of(protocol, header(BINARY, 9001, key=KEY))
    assert protocol.failure is not None and protocol.failure[0] == 1009 and protocol.decoder.buffer is None
    assert len(events_of(server(9000), header(BINARY, 9000, key=KEY), bytes(9000))) == 1


def test_compressed_payloads_are_inflated_as_they_come():
    from .wire import RSV1, deflated, server_deflate

    payload = deflated(sample(100_000))
    protocol = server(None, server_deflate())
    data = frame(BINARY, payload, rsv=RSV1, key=KEY)
    events_of(protocol, data[:9000])
    assert protocol.decoder.buffer is None
    assert events_of(protocol, data[9000:]) == [sample(100_000)]


def test_small_payloads_are_not_worth_it():
    protocol = server()
    events_of(protocol, header(BINARY, 8191, key=KEY) + bytes(10))
    assert protocol.decoder.buffer is None
