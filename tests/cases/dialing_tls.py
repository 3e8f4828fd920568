"""A TLS handshake of the client's that fails in each way: an error that says so; nothing is left to the garbage collector."""

import gc
import ssl
import warnings

import pytest

from simple_websocket import Client
from tests.support import leaks
from tests.support.peer import make_stream
from tests.support.world import client_context

ALERT = b"\x15\x03\x03\x00\x02\x02\x28"  # fatal, handshake_failure (RFC 8446 section 6)


class Failure(Exception):
    """What a context of the application's raises."""


class Refusing(ssl.SSLContext):
    """Fails before it has touched the socket."""

    def wrap_socket(self, *arguments, **options):
        raise Failure


class Late(ssl.SSLContext):
    """Touches the socket when the peer has reset the connection."""

    def wrap_socket(self, sock, **options):
        self.ready.set()
        self.world.until(lambda: is_lost(sock))
        return super().wrap_socket(sock, **options)


def is_lost(sock):
    try:
        sock.getpeername()
    except OSError:
        return True
    return False


def connect(world, url, context, **options):
    return Client.connect(url, ssl_context=context, **options, **world.options)


@pytest.mark.parametrize("what", ["reset", "fin", "nonsense", "http", "alert", "silence", "context", "late"])
def test_a_tls_handshake_that_fails_leaves_nothing_to_the_garbage_collector(world, what):
    listener = world.listen()
    before = set(leaks.descriptors())
    kind = {"context": Refusing, "late": Late}.get(what)
    context = client_context() if kind is None else kind(ssl.PROTOCOL_TLS_CLIENT)
    context.world, context.ready = world, world.event()

    def serve():
        for _ in range(3):
            stream = make_stream(world, listener.accept())
            if what == "late":
                assert context.ready.wait(5)
                context.ready.clear()
                stream.reset()
                continue
            if what in ("silence", "context"):
                while stream.read():
                    pass
            else:
                stream.read()  # the first of the handshake
                answer = {"nonsense": b"\xff" * 100, "http": b"HTTP/1.1 400 Bad Request\r\n\r\n", "alert": ALERT}.get(what, b"")
                stream.write(answer)
                if what == "reset":
                    stream.reset()
            stream.close()

    serving = world.spawn(serve)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(3):
            with pytest.raises(Failure if what == "context" else OSError) as error:
                connect(world, listener.url(tls=True), context, open_timeout=0.3 if what == "silence" else 10)
            del error
        gc.collect()
    serving.result()
    assert not [one for one in warned if issubclass(one.category, ResourceWarning)], [str(one.message) for one in warned]
    world.until(lambda: set(leaks.descriptors()) <= before, 3, f"{leaks.descriptors()}")
