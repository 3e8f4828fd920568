"""TLS as others speak it: key updates in the middle of everything, and certificates that are wrong in each way."""

import datetime
import gc
import ssl

import pytest
import trustme

from simple_websocket import Client, ConnectionClosed
from simple_websocket import ConnectionError as NotOpened
from tests.cases.marks import both_sides
from tests.support import leaks
from tests.support.openssl import COMMAND, OpenSsl
from tests.support.peer import make_stream
from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame
from tests.support.world import authority, client_context, server_context


def connected(world, side, folder, **options):
    """A connection of ours, and OpenSSL's command at its other end."""
    if side == "client":
        peer, port = OpenSsl.server(world, folder)
        connecting = world.spawn(lambda: world.connect(f"wss://127.0.0.1:{port}/", True, **options))
        peer.accept()
        return connecting.result(), peer
    listener = world.listen()
    accepting = world.spawn(world.accept, listener, True, options)
    peer = OpenSsl.client(world, listener.address[1])
    return accepting.result(), peer


@pytest.mark.skipif(COMMAND is None, reason="there is no openssl command")
@both_sides
@pytest.mark.parametrize("both", [False, True], ids=["theirs", "both"])
def test_key_updates(world, side, both, tmp_path):
    """While we are waiting to receive, while we are sending, and while nobody does either."""
    ws, peer = connected(world, side, tmp_path, ping_interval=0.2, ping_timeout=20, compression=False)

    def from_peer(opcode, payload):
        peer.write(frame(opcode, payload, masked=side == "server"))

    def next_message():
        while (found := peer.next_frame()).opcode in (PING, PONG):
            pass
        return found

    for number in range(5):
        receiving = world.spawn(ws.receive)
        world.sleep(0.02)
        peer.update_keys(both)
        from_peer(TEXT, b"%d" % number)
        assert receiving.result(5) == str(number)
        ws.send(f"answer {number}")
        assert next_message().text == f"answer {number}"
        sending = world.spawn(ws.send, bytes([number]) * 300_000)
        peer.update_keys(both)
        from_peer(BINARY, b"meanwhile")
        assert ws.receive(5) == b"meanwhile"
        sending.result(10)
        assert next_message().payload == bytes([number]) * 300_000
    world.sleep(0.6)  # the keeper reads
    peer.update_keys(both)
    from_peer(PING, b"after an update")
    while peer.next_frame()[:2] != (PONG, b"after an update"):
        pass
    assert ws.connected
    from_peer(CLOSE, close_payload(1000))
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    assert error.value.reason == 1000
    while (found := peer.next_frame()).opcode != CLOSE:
        pass
    assert found.code == 1000
    world.until(lambda: peer.done() == 11, what="eleven key updates")


NOW = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
DAY = datetime.timedelta(days=1)


def wrong(what):
    """A certificate that is wrong, and what the error has to say."""
    if what == "authority":
        return trustme.CA().issue_cert("127.0.0.1"), "unable to get local issuer|self.signed"
    if what == "name":
        return authority().issue_cert("somewhere.else.example"), "127.0.0.1"
    if what == "address":
        return authority().issue_cert("127.0.0.2"), "127.0.0.1"
    if what == "expired":
        return authority().issue_cert("127.0.0.1", not_before=NOW - 3 * DAY, not_after=NOW - DAY), "expired"
    return authority().issue_cert("127.0.0.1", not_before=NOW + DAY, not_after=NOW + 2 * DAY), "not yet valid"


@pytest.mark.parametrize("what", ["authority", "name", "address", "expired", "not yet valid"])
def test_a_certificate_that_is_wrong_is_refused_with_the_reason(world, what):
    listener = world.listen()
    leaf, reason = wrong(what)
    before = set(leaks.descriptors())

    def serve():
        for _ in range(3):
            sock = listener.accept()
            with pytest.raises((ssl.SSLError, ConnectionError)):
                make_stream(world, sock, server_context(world, leaf)).read()
                raise ConnectionResetError
            sock.close()

    serving = world.spawn(serve)
    for _ in range(3):
        with pytest.raises(ssl.SSLCertVerificationError, match=reason) as error:
            Client.connect(listener.url(tls=True), ssl_context=client_context(), **world.options)
        del error
    serving.result()
    gc.collect()
    world.until(lambda: set(leaks.descriptors()) <= before, 3, f"{leaks.descriptors()}")


def test_a_client_without_the_certificate_that_is_asked_for(world):
    """With TLS 1.3 it learns of that after its own handshake; it must hear of it all the same, and keep nothing."""
    listener = world.listen()
    context = server_context(world)
    context.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(context)
    before = set(leaks.descriptors())

    def serve():
        sock = listener.accept()
        with pytest.raises(ssl.SSLError):
            make_stream(world, sock, context)
        sock.close()

    serving = world.spawn(serve)
    with pytest.raises((OSError, NotOpened)):
        Client.connect(listener.url(tls=True), ssl_context=client_context(), open_timeout=5, **world.options)
    serving.result()
    gc.collect()
    world.until(lambda: set(leaks.descriptors()) <= before, 3, f"{leaks.descriptors()}")
