"""Transports: a connected socket as the sync shell needs it, plain or TLS, on every backend.

`read` is for whoever holds the connection's read lock, `try_write` and `wait_writable` for whoever holds its write lock;
`shutdown` is for anybody.  Nothing here holds a lock while it waits.

An end of the stream and a lost connection are the same here: ``b""`` to a reader, ``OSError`` to a writer.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Any

from .backends import Backend

__all__ = ["Transport", "complete_tls", "open_transport", "wrap_tls"]

# TLS may want to write in order to read, or the other way round (renegotiation, key updates).  Then the other user of the
# connection may be parked on that direction already, and a socket has one waiter for each: look again after this long.
_CROSSED_WAIT = 0.005

_SHUTDOWN_WAIT = 1.0

_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))  # used where there is one only: see Backend.parks_in_recv

# OpenSSL makes records of 16 KiB out of it; nobody reads meanwhile, or writes while so much is read.
_TLS_WRITE = 256 * 1024

# OpenSSL never returns more than one record, and Python makes room for all that it is asked for.
_TLS_RECORD = 16 * 1024

# More than a socket's buffer holds; the peer cannot add to it once the socket is shut down.
_DRAIN_READS, _DRAIN_BYTES = 1024, 64 * 1024


class Transport:
    """A non-blocking plain socket, waited for with the backend's waiter."""

    __slots__ = (
        "_clock", "_disowned", "_filled", "_recv", "_recv_into", "_send", "_shutdown", "_sleep", "_waiter", "sock", "unsure",
    )  # fmt: skip

    def __init__(self, sock: Any, backend: Backend) -> None:
        self.sock = sock
        self._clock = backend.clock
        self._sleep = backend.sleep
        sock.setblocking(False)
        # Bound once: for speed, and because a web server's socket object changes its class afterwards (handover.py).
        raw = self._raw(sock, backend)
        self._recv = raw.recv
        self._recv_into = raw.recv_into
        self._send = raw.send
        self._shutdown = sock.shutdown
        self._waiter = backend.waiter(sock)
        self._disowned = False
        # A read that was not filled has probably emptied the socket: then waiting first saves a failing system call.  After one
        # that was, the peer may send faster than it is read: then others have their turn first, unless a payload goes on.
        self._filled = False
        #: Set while bytes may have been taken out of the socket and not been handed on yet: an exception that a signal handler
        #: raises then has lost them.  Whoever reads clears it.
        self.unsure = False

    def _raw(self, sock: Any, backend: Backend) -> Any:
        return backend.raw(sock)

    def read(self, place: Any, timeout: float | None) -> Any:
        """Return received bytes, or how many there are in a buffer; nothing at the end, ``None`` when nothing came in time.

        :param place: the most bytes to return, or the buffer to write them into.
        :param timeout: seconds to wait, ``None`` for as long as it takes.
        """
        if self._filled and type(place) is int:
            self._sleep(0)
        if timeout is None:
            if self._probably_empty():
                self._wait_readable(None)
            while (data := self.try_read(place)) is None:
                self._wait_readable(None)
            return data
        data = self.try_read(place)
        if data is not None:
            return data
        deadline = self._clock() + timeout
        while True:
            left = deadline - self._clock()
            if left <= 0:
                return None
            if self._wait_readable(left):
                data = self.try_read(place)
                if data is not None:
                    return data

    def _probably_empty(self) -> bool:
        return not self._filled

    def try_read(self, place: Any) -> Any:
        """Return what `read` does, ``None`` when there is nothing at the moment."""
        self.unsure = True
        try:
            if type(place) is not int:
                self._filled = False  # the rest of a payload, behind which nobody knows of anything
                count: int = self._recv_into(place)
                return count
            data: bytes = self._recv(place)
        except (BlockingIOError, InterruptedError):
            self.unsure = self._filled = False
            return None
        except OSError:
            return b""
        self._filled = len(data) == place
        return data

    def _wait_readable(self, timeout: float | None) -> bool:
        try:
            return self._waiter.readable(timeout)
        except (OSError, ValueError):
            return True  # its owner has closed the socket: reading says so

    def try_write(self, data: bytes | memoryview) -> int:
        """Write what the socket takes at once; return how many bytes that were.

        :raises OSError: the connection is lost.
        """
        try:
            sent: int = self._send(data)
            return sent
        except (BlockingIOError, InterruptedError):
            return 0

    def wait_writable(self, timeout: float | None) -> bool:
        """Wait until `try_write` may succeed; return whether that was within `timeout` seconds."""
        try:
            return self._waiter.writable(timeout)
        except (OSError, ValueError):
            return True  # its owner has closed the socket: writing says so

    def write_all(self, data: bytes, deadline: float) -> None:
        """Write all of it, before anybody else uses the connection.

        :raises OSError: the connection is lost, or the deadline has passed (`TimeoutError`).
        """
        rest = memoryview(data)
        while rest:
            sent = self.try_write(rest)
            rest = rest[sent:]
            if not sent and not self.wait_writable(max(0.0, deadline - self._clock())):
                raise TimeoutError(errno.ETIMEDOUT, "the peer takes no data")

    def end_writing(self, discard: bool = False) -> None:
        """Tell the peer that nothing more will come, and go on reading.

        :param discard: whether what has arrived may be thrown away.  Default: ``False``.
        """
        try:
            self._shutdown(socket.SHUT_WR)
        except OSError:
            pass  # not connected any more

    def shutdown(self) -> None:
        """End the connection in both directions: wakes whoever waits for it, and leaves the descriptor open."""
        try:
            self._shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # not connected any more

    def drain(self) -> None:
        """Throw away what the peer has sent behind the end: a web server would read it as its next request."""
        for _ in range(_DRAIN_READS):
            if not self.try_read(_DRAIN_BYTES):
                return

    def release(self) -> None:
        """Free what waiting has needed; nobody may be waiting."""
        self._waiter.close()

    def disown(self) -> None:
        """Leave the connection to the process that has made it: this is a forked child's copy.

        Reading finds the end of the stream, writing is refused, and ending it changes nothing for the parent.
        """
        self._disowned = True
        self._recv = self._recv_into = _nothing
        self._send = _refused
        self._shutdown = _nothing

    def close(self) -> None:
        """Close the descriptor as well."""
        self.release()
        self.sock.close()


def _nothing(*_: object) -> bytes:
    return b""


def _refused(*_: object) -> int:
    raise BrokenPipeError(errno.EPIPE, "the connection belongs to the process that has forked this one")


class ThreadTransport(Transport):
    """A blocking plain socket: one system call parks the thread and reads, and close wakes it."""

    __slots__ = ("_in_main_thread",)

    def __init__(self, sock: Any, backend: Backend) -> None:
        super().__init__(sock, backend)
        self._in_main_thread = backend.in_main_thread
        sock.setblocking(True)

    def read(self, place: Any, timeout: float | None) -> Any:
        # Signal handlers run in the main thread, where it has to be known whether a recv that one interrupts had taken anything.
        if timeout is not None or self._in_main_thread():
            return super().read(place, timeout)
        try:
            data: bytes | int = self._recv(place) if type(place) is int else self._recv_into(place)
            return data
        except OSError:
            return b""

    def try_read(self, place: Any) -> Any:
        self.unsure = True
        try:
            data: bytes | int = self._recv(place, _DONTWAIT) if type(place) is int else self._recv_into(place, 0, _DONTWAIT)
            return data
        except (BlockingIOError, InterruptedError):
            self.unsure = False
            return None
        except OSError:
            return b""

    def try_write(self, data: bytes | memoryview) -> int:
        try:
            sent: int = self._send(data, _DONTWAIT)
            return sent
        except (BlockingIOError, InterruptedError):
            return 0


class TlsTransport(Transport):
    """A non-blocking TLS socket.

    OpenSSL's objects are not made for two threads at once, so each call is made under one lock, which is never held while
    waiting.  OpenSSL reads whole records: what it holds already is asked for before anything is waited for.
    """

    __slots__ = ("_crossed_read", "_crossed_write", "_lock", "_make_lock", "_pending", "_short")

    def __init__(self, sock: Any, backend: Backend) -> None:
        super().__init__(sock, backend)
        self._make_lock = backend.lock
        self._lock = backend.lock()
        self._crossed_read = False
        self._crossed_write = False
        self._pending = sock.pending
        # Whether the latest record was not a full one: then there is probably none behind it.
        self._short = False

    def _raw(self, sock: Any, backend: Backend) -> Any:
        return sock  # what is below it is not TLS

    def disown(self) -> None:
        super().disown()
        self._lock = self._make_lock()  # who held it is not here
        self._pending = _nothing

    def _probably_empty(self) -> bool:
        if not self._short:
            return False
        with self._lock:
            try:
                return not self._pending()  # what OpenSSL holds wakes nobody
            except (OSError, ValueError):
                return False  # the TLS layer is gone: reading says so

    def try_read(self, place: Any) -> Any:
        with self._lock:
            self._crossed_read = False
            self.unsure = True
            try:
                if type(place) is not int:
                    return self._read_records(place)
                most = min(place, _TLS_RECORD)
                data: bytes = self._recv(most)
                self._filled = len(data) == place
                self._short = len(data) < most
                return data
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                self.unsure = self._filled = False
                self._crossed_read = isinstance(error, ssl.SSLWantWriteError)
                return None
            except (OSError, ValueError):  # ValueError: the TLS layer is gone
                return b""

    def _read_records(self, place: Any) -> int:
        """Read records as long as there are full ones; the lock is held."""
        self._filled = False
        count = 0
        with memoryview(place) as view:
            most = min(len(view), _TLS_WRITE)
            try:
                while count < most:
                    full = min(most - count, _TLS_RECORD)
                    size = self._recv_into(view[count:most])
                    count += size
                    self._short = size < full
                    if self._short:
                        break
            except (OSError, ValueError):
                if not count:
                    raise  # otherwise it comes again
        return count

    def _wait_readable(self, timeout: float | None) -> bool:
        if not self._crossed_read:
            return super()._wait_readable(timeout)
        self._sleep(_CROSSED_WAIT if timeout is None else min(_CROSSED_WAIT, timeout))
        return True

    def try_write(self, data: bytes | memoryview) -> int:
        with self._lock:
            self._crossed_write = False
            try:
                sent: int = self._send(data[:_TLS_WRITE])
                return sent
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                self._crossed_write = isinstance(error, ssl.SSLWantReadError)
                return 0
            except ValueError as error:
                raise BrokenPipeError(str(error)) from None

    def wait_writable(self, timeout: float | None) -> bool:
        if not self._crossed_write:
            return super().wait_writable(timeout)
        self._sleep(_CROSSED_WAIT if timeout is None else min(_CROSSED_WAIT, timeout))
        return True

    def end_writing(self, discard: bool = False) -> None:
        # OpenSSL reads, too, when it says that nothing more will come, and data that it finds then end reading for good.
        with self._lock:
            try:
                for _ in range(_DRAIN_READS if discard else 0):
                    if not self._recv(_TLS_WRITE):
                        break
            except (OSError, ValueError):
                pass
            self._notify_close()

    def shutdown(self) -> None:
        # A finalizer may interrupt whoever holds the lock, so it is not waited for without end.
        locked = self._lock.acquire(timeout=_SHUTDOWN_WAIT)
        try:
            if locked:
                self._notify_close()
        finally:
            super().shutdown()
            if locked:
                self._lock.release()

    def _notify_close(self) -> None:
        # The socket classes only have unwrap for this: it waits for the peer's close_notify, and eventlet's hands out a second
        # owner of the descriptor.
        tls = getattr(self.sock, "_sslobj", None)
        if tls is not None and not self._disowned:
            try:
                tls.shutdown()
            except (OSError, ValueError):
                pass  # the peer's close_notify is not there yet, or never will be


def wrap_tls(context: Any, sock: Any, **options: Any) -> Any:
    """Return a TLS socket around a connected socket, which belongs to it from now on; the handshake is still to be made.

    :param options: of `ssl.SSLContext.wrap_socket`; the handshake is not made by default.
    :raises OSError: the connection is lost already.
    """
    options.setdefault("do_handshake_on_connect", False)
    try:
        return context.wrap_socket(sock, **options)
    except OSError as error:
        _close_unfinished(error)
        raise


def _close_unfinished(error: OSError) -> None:
    """Close the TLS socket that was being made: `ssl` leaves it to the collector, with the descriptor, when the peer is lost."""
    traceback = error.__traceback__
    while traceback is not None:
        unfinished: Any = traceback.tb_frame.f_locals.get("self")
        if hasattr(unfinished, "do_handshake"):
            unfinished.close()
        traceback = traceback.tb_next


def complete_tls(secure: Any, backend: Backend, deadline: float, peer: str) -> None:
    """Make the TLS handshake of a wrapped socket, which does not block afterwards.

    :param peer: with whom, for the message of the error.
    :raises OSError: it failed (`ssl.SSLError`), or was not over at the deadline (`TimeoutError`).
    """
    secure.setblocking(False)
    waiter = backend.waiter(secure)
    try:
        while True:
            left = deadline - backend.clock()
            try:
                secure.do_handshake()
                return
            except ssl.SSLWantReadError:
                ready = left > 0 and waiter.readable(left)
            except ssl.SSLWantWriteError:
                ready = left > 0 and waiter.writable(left)
            if not ready:
                raise TimeoutError(errno.ETIMEDOUT, f"no TLS handshake with {peer} in time")
    finally:
        waiter.close()


def open_transport(sock: Any, backend: Backend) -> Transport:
    """Return the transport for a connected socket; a TLS socket has completed its handshake."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small messages must not wait for acknowledgements
    except OSError:
        pass  # no TCP: a Unix socket
    if isinstance(sock, ssl.SSLSocket) or hasattr(sock, "_sslobj"):
        return TlsTransport(sock, backend)
    return (ThreadTransport if backend.parks_in_recv else Transport)(sock, backend)
