"""Messages there and back, of every kind and size, between a Client and a Server."""

import os

import pytest

from tests.cases.marks import plain_and_tls

MIB = 1024 * 1024


def echo(ws):
    for message in ws:
        ws.send(message)


def test_text_and_binary_messages_come_back(world):
    with world.serving(echo) as url:
        ws = world.connect(url)
        for message in ("hello", "naïve – ☃ 𝄞", "", b"bytes", b"", b"\x00\xff", "x" * 125, "x" * 126, b"y" * 65535, b"y" * 65536):
            ws.send(message)
            received = ws.receive(10)
            assert received == message and type(received) is type(message)
        ws.close()


@plain_and_tls
@pytest.mark.parametrize("compression", [False, True], ids=["", "compressed"])
def test_a_mebibyte_comes_back(world, tls, compression):
    with world.serving(echo, tls, compression=compression) as url:
        ws = world.connect(url, tls, compression=compression)
        message = os.urandom(MIB // 2) + bytes(MIB // 2)
        ws.send(message)
        assert ws.receive(20) == message
        text = "grün" * (MIB // 5)
        ws.send(text)
        assert ws.receive(20) == text
        ws.close()


@plain_and_tls
def test_32_mebibytes_come_back(world, tls):
    with world.serving(echo, tls, compression=False) as url:
        ws = world.connect(url, tls, compression=False)
        message = os.urandom(MIB) * 32
        ws.send(message)
        assert ws.receive(40) == message
        ws.close()


def test_whatever_is_no_bytes_is_sent_as_text(world):
    with world.serving(echo) as url:
        ws = world.connect(url)
        for sent, received in ((bytearray(b"ab"), b"ab"), (memoryview(b"cd"), b"cd"), (42, "42"), (None, "None"), ([1], "[1]")):
            ws.send(sent)
            assert ws.receive(10) == received
        ws.close()


def test_small_reads_make_no_difference(world):
    with world.serving(echo, receive_bytes=1) as url:
        ws = world.connect(url, receive_bytes=1)
        for message in ("one byte at a time", b"x" * 3000):
            ws.send(message)
            assert ws.receive(10) == message
        ws.close()


def test_two_thousand_messages_in_flight_keep_their_order(world):
    with world.serving(echo) as url:
        ws = world.connect(url)
        sending = world.spawn(lambda: [ws.send(str(number)) for number in range(2000)])
        assert [ws.receive(20) for _ in range(2000)] == [str(number) for number in range(2000)]
        sending.result()
        ws.close()


def test_a_hundred_connections_at_once(world):
    with world.serving(echo) as url:
        connections = [world.connect(url) for _ in range(100)]
        for number, ws in enumerate(connections):
            ws.send(str(number))
        assert [ws.receive(10) for ws in connections] == [str(number) for number in range(100)]
        for closing in [world.spawn(ws.close) for ws in connections]:
            closing.result()
