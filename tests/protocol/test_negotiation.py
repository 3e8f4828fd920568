"""deflate.py: the negotiation of permessage-deflate, RFC 7692 sections 5.1 and 7.1."""

import os

import pytest

from simple_websocket.protocol.deflate import Compression, DeflateExtension

from .wire import client, client_deflate, events_of, joined, server

LAYERED = Compression(server_max_window_bits=15, client_max_window_bits=15, memory_level=8, threshold=0)

# Section 7.1, negotiation as a server: our options, the offer's parameters, our answer (None: declined)

DEFAULT = Compression()
ACCEPTS = [
    # nothing offered: the client cannot be told to use a smaller window
    (DEFAULT, "", ""),
    (DEFAULT, "client_max_window_bits", "client_max_window_bits=12"),
    (DEFAULT, "client_max_window_bits=15", "client_max_window_bits=12"),
    (DEFAULT, "client_max_window_bits=10", "client_max_window_bits=10"),
    (DEFAULT, "client_max_window_bits=8", "client_max_window_bits=8"),
    (DEFAULT, 'client_max_window_bits="10"', "client_max_window_bits=10"),
    (DEFAULT, "server_max_window_bits=10", "server_max_window_bits=10"),
    (DEFAULT, "server_max_window_bits=15", "server_max_window_bits=15"),
    (DEFAULT, "server_no_context_takeover", "server_no_context_takeover"),
    (DEFAULT, "client_no_context_takeover", "client_no_context_takeover"),
    (
        DEFAULT,
        "client_no_context_takeover;server_no_context_takeover ; server_max_window_bits = 9;client_max_window_bits",
        "server_max_window_bits=9; client_max_window_bits=12; server_no_context_takeover; client_no_context_takeover",
    ),
    (Compression(server_max_window_bits=15), "", ""),
    (Compression(server_max_window_bits=15), "server_max_window_bits=15", "server_max_window_bits=15"),
    (Compression(server_max_window_bits=9), "server_max_window_bits=12", "server_max_window_bits=9"),
    (Compression(client_max_window_bits=15), "client_max_window_bits", "client_max_window_bits=15"),
    (Compression(client_max_window_bits=9), "", ""),
    (Compression(server_no_context_takeover=True), "", "server_no_context_takeover"),
    (Compression(client_no_context_takeover=True), "", "client_no_context_takeover"),
    # what has to be declined
    (DEFAULT, "unknown", None),
    (DEFAULT, "unknown=1", None),
    (DEFAULT, "client_max_window_bits; client_max_window_bits", None),
    (DEFAULT, "server_no_context_takeover; server_no_context_takeover", None),
    (DEFAULT, "server_no_context_takeover=1", None),
    (DEFAULT, "server_no_context_takeover=", None),
    (DEFAULT, "client_no_context_takeover=true", None),
    (DEFAULT, "server_max_window_bits", None),
    (DEFAULT, "server_max_window_bits=", None),
    (DEFAULT, "server_max_window_bits=7", None),
    (DEFAULT, "server_max_window_bits=16", None),
    (DEFAULT, "server_max_window_bits=010", None),
    (DEFAULT, "server_max_window_bits=+9", None),
    (DEFAULT, "server_max_window_bits=ten", None),
    (DEFAULT, 'server_max_window_bits="', None),
    (DEFAULT, "client_max_window_bits=", None),
    (DEFAULT, "client_max_window_bits=7", None),
    (DEFAULT, "client_max_window_bits=16", None),
    (DEFAULT, "client_max_window_bits=-9", None),
    (DEFAULT, ";", None),
    (DEFAULT, "=", None),
    # zlib cannot deflate with a window of 256 bytes
    (DEFAULT, "server_max_window_bits=8", None),
]


@pytest.mark.parametrize("compression, offer, answer", ACCEPTS)
def test_7_1_server_answers(compression, offer, answer):
    extension = DeflateExtension(compression, client=False)
    assert extension.accept("permessage-deflate" + ("; " + offer if offer else "")) == answer
    assert extension.agreed is (answer is not None)


def test_5_1_the_first_offer_that_can_be_met_is_taken():
    extension = DeflateExtension(DEFAULT, client=False)
    assert extension.accept("permessage-deflate; unknown; server_no_context_takeover") is None
    # Nothing of a declined offer sticks.
    assert extension.accept("permessage-deflate; server_max_window_bits=10") == "server_max_window_bits=10"
    assert extension.accept("permessage-deflate; client_max_window_bits=9") is None
    assert extension.inflater()._bits == -15


# Section 7.1 as a client: the offer, and which answers are one to it

OFFERS = [
    (DEFAULT, "client_max_window_bits"),
    (Compression(client_max_window_bits=9), "client_max_window_bits=9"),
    (Compression(server_max_window_bits=10), "client_max_window_bits; server_max_window_bits=10"),
    (
        Compression(server_no_context_takeover=True, client_no_context_takeover=True),
        "client_max_window_bits; server_no_context_takeover; client_no_context_takeover",
    ),
]


@pytest.mark.parametrize("compression, offer", OFFERS)
def test_7_1_client_offers(compression, offer):
    extension = DeflateExtension(compression, client=True)
    assert extension.offer() == offer
    assert not extension.agreed


@pytest.mark.parametrize(
    "compression, answer",
    [
        (DEFAULT, "unknown"),
        (DEFAULT, "server_max_window_bits=10; server_max_window_bits=10"),
        (DEFAULT, "server_max_window_bits"),
        (DEFAULT, "server_max_window_bits=16"),
        (DEFAULT, "client_max_window_bits"),
        (DEFAULT, "client_max_window_bits=7"),
        (DEFAULT, "client_max_window_bits=8"),
        (DEFAULT, "server_no_context_takeover=1"),
        (DEFAULT, "client_no_context_takeover="),
        (Compression(server_max_window_bits=10), ""),
        (Compression(server_max_window_bits=10), "server_max_window_bits=11"),
    ],
)
def test_7_1_client_refuses_the_answer(compression, answer):
    extension = DeflateExtension(compression, client=True)
    with pytest.raises(ValueError):
        extension.finalize("permessage-deflate; " + answer if answer else "permessage-deflate")
    assert not extension.agreed


def test_7_1_client_refuses_a_second_answer():
    extension = client_deflate()
    with pytest.raises(ValueError, match="twice"):
        extension.finalize("permessage-deflate")


@pytest.mark.parametrize(
    "compression, answer, inflate_bits, deflate_bits, inflate_afresh, deflate_afresh",
    [
        (DEFAULT, "", 15, 12, False, False),
        (DEFAULT, "client_max_window_bits=15", 15, 12, False, False),
        (DEFAULT, "client_max_window_bits=10", 15, 10, False, False),
        (DEFAULT, "server_max_window_bits=8", 9, 12, False, False),
        (Compression(client_max_window_bits=15), "client_max_window_bits=14", 15, 14, False, False),
        (Compression(server_max_window_bits=11), "server_max_window_bits=10", 10, 12, False, False),
        (DEFAULT, "server_no_context_takeover", 15, 12, True, False),
        (DEFAULT, "client_no_context_takeover", 15, 12, False, True),
        (Compression(client_no_context_takeover=True), "", 15, 12, False, True),
        # Asked for but not granted: the server may still refer to its earlier messages.
        (Compression(server_no_context_takeover=True), "", 15, 12, False, False),
    ],
)
def test_7_1_what_a_client_uses(compression, answer, inflate_bits, deflate_bits, inflate_afresh, deflate_afresh):
    extension = client_deflate(compression, answer)
    inflater, deflater = extension.inflater(), extension.deflater()
    assert (-inflater._bits, inflater._afresh) == (inflate_bits, inflate_afresh)
    assert (deflater.settings(100)[1], deflater._afresh) == (deflate_bits, deflate_afresh)


@pytest.mark.parametrize("ours", [DEFAULT, LAYERED, Compression(client_max_window_bits=9, server_max_window_bits=9)])
@pytest.mark.parametrize("theirs", [DEFAULT, LAYERED, Compression(level=1, memory_level=9, threshold=0)])
@pytest.mark.parametrize("afresh", [(False, False), (True, False), (False, True), (True, True)])
def test_both_sides_understand_each_other(ours, theirs, afresh):
    asking = Compression(
        level=ours.level,
        server_max_window_bits=ours.server_max_window_bits,
        client_max_window_bits=ours.client_max_window_bits,
        server_no_context_takeover=afresh[0],
        client_no_context_takeover=afresh[1],
    )
    at_client, at_server = DeflateExtension(asking, client=True), DeflateExtension(theirs, client=False)
    answer = at_server.accept("permessage-deflate; " + at_client.offer())
    assert answer is not None
    at_client.finalize("permessage-deflate; " + answer if answer else "permessage-deflate")
    here, there = client(deflate=at_client), server(deflate=at_server)
    pattern = os.urandom(3000)
    for message in ["x" * 100, pattern, pattern + b"!" + pattern, "", b"", "€" * 5000, os.urandom(70_000), pattern]:
        for sender, receiver in ((here, there), (there, here)):
            out = sender.send(message)
            assert events_of(receiver, joined(out)) == [message]


def test_an_answer_that_accepts_twice():
    extension = client_deflate()
    with pytest.raises(ValueError, match="twice"):
        extension.finalize("permessage-deflate")


@pytest.mark.parametrize("answer", ["client_max_window_bits=11", "server_max_window_bits=12", ""])
def test_an_answer_with_a_larger_window_than_offered(answer):
    wanted = Compression(client_max_window_bits=10, server_max_window_bits=None if "client" in answer else 11)
    with pytest.raises(ValueError, match="larger than offered"):
        client_deflate(wanted, answer)
