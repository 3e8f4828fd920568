"""TLS 1.2 with its renegotiation, during which writing has to wait until something was read: OpenSSL's server asks for it.

A relay between the two ends holds back the server's part of the handshake.
"""

from contextlib import suppress

import pytest

from tests.support.openssl import COMMAND, OpenSsl
from tests.support.stream import Stream
from tests.support.wire import TEXT, frame


class OpenSsl12(OpenSsl):
    version = "-tls1_2"

    def renegotiate(self):
        """Send a HelloRequest (RFC 5246 section 7.4.1.1)."""
        self._await_empty_pipe()
        self.write(b"r\n")
        self._await_empty_pipe()  # so that this is a piece of its own


class Relay:
    """Passes on what two ends of one connection say; from the server at most `pieces` of it, when that is no longer None."""

    def __init__(self, world, port):
        self.pieces = None
        self._world, self._port = world, port
        self._listener = world.listen()
        self.url = self._listener.url(tls=True)
        world.spawn(self._run)

    def _run(self):
        ends = [Stream(self._world, sock) for sock in (self._listener.accept(), self._world.dial(("127.0.0.1", self._port)))]
        for end in ends:
            self._world._last_cleaners.append(end.close)
        self._world.spawn(self._pass_on, ends[0], ends[1])
        self._pass_on(ends[1], ends[0], held=True)

    def _pass_on(self, source, sink, held=False):
        with suppress(OSError):
            while data := source.read(timeout=50):
                if held:
                    self._world.until(lambda: self.pieces is None or self.pieces, 50)
                    self.pieces = self.pieces and self.pieces - 1
                sink.write(data)
        with suppress(OSError):
            sink.fin()


@pytest.mark.skipif(COMMAND is None, reason="there is no openssl command")
@pytest.mark.parametrize("times", [1, 3])
def test_messages_in_the_middle_of_a_renegotiation(world, times, tmp_path):
    peer, port = OpenSsl12.server(world, tmp_path)
    relay = Relay(world, port)
    connecting = world.spawn(lambda: world.connect(relay.url, True, compression=False, max_unread_messages=5))
    peer.accept()
    ws = connecting.result()
    world.on_cleanup(lambda: setattr(relay, "pieces", None))
    assert ws._link.sock.version() == "TLSv1.2"
    for number in range(times):
        receiving = world.spawn(ws.receive)
        relay.pieces = 1  # the HelloRequest
        peer.renegotiate()
        world.until(lambda: relay.pieces == 0)
        world.sleep(0.1)  # the ClientHello has been sent
        sending = world.spawn(ws.send, f"meanwhile {number}")
        world.sleep(0.1)
        assert not sending.finished and not receiving.finished
        relay.pieces = None
        sending.result(5)
        assert peer.next_frame().text == f"meanwhile {number}"
        peer.write(frame(TEXT, b"answer", masked=False))
        assert receiving.result(5) == "answer"
    assert ws.connected
    peer.end()
