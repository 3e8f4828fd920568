"""The load generator's process: ``python -m benchmarks.load``.

It shares no code with what it measures.  Frames are made before the clock starts: a message costs one ``send``, one ``recv``
and one comparison of bytes.  What comes back is compared byte for byte; anything else but the echo ends the measurement.

Questions, one JSON object a line: ``{"open": port, "case": name, "websocket": bool}`` connects and warms up,
``{"run": seconds}`` measures, ``{"close": true}`` hangs up.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

from .accept import HOST
from .cases import Case

__all__ = ["Load", "main"]

_WARM_UP = 0.05  # seconds
_TIMEOUT = 10.0  # seconds without any echo
_READ = 256 * 1024
_CHECK_CLOCK = 64  # a lone connection looks at the clock after this many messages
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class WrongEcho(Exception):
    """The subject did not send back what it was sent."""


class Peer:
    """One connection: what it sends, and how much of the echoes it has seen.

    :param sock: connected, the opening handshake done.
    :param frame: the bytes of one message to send.
    :param echo: the bytes that the subject has to send back for it.
    """

    __slots__ = ("_echo", "_frame", "_partial", "_unsent", "sock")

    def __init__(self, sock: socket.socket, frame: bytes, echo: bytes) -> None:
        self.sock = sock
        self._frame = frame
        self._echo = echo
        self._unsent = memoryview(b"")
        self._partial = b""

    def send(self, count: int) -> None:
        """Send messages; what the socket does not take goes out later."""
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + self._frame * count)
        else:
            data = self._frame if count == 1 else self._frame * count
            sent = self.sock.send(data)
            if sent < len(data):
                self._unsent = memoryview(data)[sent:]

    def send_rest(self) -> None:
        """Send of what is left over as much as the socket takes."""
        self._unsent = self._unsent[self.sock.send(self._unsent) :]

    @property
    def unfinished(self) -> bool:
        """Whether something is left over."""
        return bool(self._unsent)

    def receive(self) -> int:
        """Read, check what has come, and return how many echoes it completed.

        :raises WrongEcho: it is not what was sent.
        """
        data = self.sock.recv(_READ)
        echo = self._echo
        if data == echo and not self._partial:
            return 1
        if not data:
            raise WrongEcho("the subject closed the connection")
        data = self._partial + data
        count, rest = divmod(len(data), len(echo))
        if data != echo * count + echo[:rest]:
            raise WrongEcho(f"{data[:80]!r}... came back instead of {echo[:80]!r}...")
        self._partial = data[len(data) - rest :]
        return count


class Load:
    """Connections to one subject.

    :param port: where it listens.
    :param case: what load to put on it.
    :param websocket: whether it speaks WebSocket, or echoes bytes.
    """

    def __init__(self, port: int, case: Case, websocket: bool) -> None:
        self._case = case
        frame, echo = _frames(case.size)
        self._peers = [Peer(_connect(port, websocket), frame, echo if websocket else frame) for _ in range(case.connections)]
        self._by_fd = {peer.sock.fileno(): peer for peer in self._peers}
        # Epoll where there is one, else poll: they differ in the unit of the timeout.
        self._poller: Any = select.epoll() if hasattr(select, "epoll") else select.poll()
        self._timeout = _TIMEOUT if hasattr(select, "epoll") else _TIMEOUT * 1000
        for fd in self._by_fd:
            self._poller.register(fd, select.POLLIN)

    def run(self, seconds: float) -> tuple[int, float]:
        """Send and receive for some time; return how many echoes came and how many seconds that took, the last one included."""
        # Frames that fit into a socket's buffer many times over are written whole: a lone ping-pong needs no poller.
        lone = self._case.connections == 1 and self._case.in_flight == 1 and self._case.size <= 4096
        return self._run_lone(seconds) if lone else self._run_all(seconds)

    def _run_lone(self, seconds: float) -> tuple[int, float]:
        peer = self._peers[0]
        peer.sock.settimeout(None)
        # Python's own timeouts cost a system call each; the kernel's does not.
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(_TIMEOUT), 0))
        sent = received = 0
        started = now = time.perf_counter()
        end = started + seconds
        while now < end:
            for _ in range(_CHECK_CLOCK):
                peer.send(1)
                sent += 1
                try:
                    while received < sent:
                        received += peer.receive()
                except BlockingIOError:
                    raise _silent() from None
            now = time.perf_counter()
        return received, now - started

    def _run_all(self, seconds: float) -> tuple[int, float]:
        in_flight = self._case.in_flight
        due = len(self._peers) * in_flight
        received = 0
        started = now = time.perf_counter()
        end = started + seconds
        for peer in self._peers:
            peer.sock.setblocking(False)
            self._send(peer, in_flight)
        while due:
            ready = self._poller.poll(self._timeout)
            if not ready:
                raise _silent()
            going_on = now < end
            for fd, mask in ready:
                peer = self._by_fd[fd]
                if mask & select.POLLOUT:
                    peer.send_rest()
                    self._watch(peer)
                if mask & ~select.POLLOUT:
                    count = peer.receive()
                    received += count
                    if count and going_on:
                        self._send(peer, count)
                    else:
                        due -= count
            now = time.perf_counter()
        return received, now - started

    def _send(self, peer: Peer, count: int) -> None:
        unfinished = peer.unfinished
        peer.send(count)
        if peer.unfinished is not unfinished:
            self._watch(peer)

    def _watch(self, peer: Peer) -> None:
        self._poller.modify(peer.sock.fileno(), select.POLLIN | (select.POLLOUT if peer.unfinished else 0))

    def close(self) -> None:
        """Hang up."""
        for peer in self._peers:
            peer.sock.close()
        if hasattr(self._poller, "close"):
            self._poller.close()


def _silent() -> WrongEcho:
    return WrongEcho(f"no echo within {_TIMEOUT:.0f} s")


def _frames(size: int) -> tuple[bytes, bytes]:
    """Return a masked text frame of ASCII (RFC 6455 section 5.2) and its echo, which is not masked."""
    payload = (b"Simple is better than complex. " * (size // 31 + 1))[:size]
    key = os.urandom(4)
    masked = bytes(byte ^ key[at & 3] for at, byte in enumerate(payload))
    if size < 126:
        sent, echoed = bytes((0x81, 0x80 | size)), bytes((0x81, size))
    elif size < 65536:
        sent, echoed = struct.pack("!BBH", 0x81, 0xFE, size), struct.pack("!BBH", 0x81, 126, size)
    else:
        sent, echoed = struct.pack("!BBQ", 0x81, 0xFF, size), struct.pack("!BBQ", 0x81, 127, size)
    return sent + key + masked, echoed + payload


def _connect(port: int, websocket: bool) -> socket.socket:
    sock = socket.create_connection((HOST, port), _TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not websocket:
        return sock
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(4096)
        if not data:
            raise WrongEcho(f"the subject closed the connection during the opening handshake, after {head!r}")
        head += data
    accepted = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest())
    if not head.startswith(b"HTTP/1.1 101") or accepted not in head:
        raise WrongEcho(f"the subject answered the opening handshake with {head!r}")
    return sock


def main() -> None:
    """Do what the lines of the standard input say."""
    load: Load | None = None
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if "open" in question:
                load = Load(question["open"], Case.parse(question["case"]), question["websocket"])
                load.run(_WARM_UP)
            elif "run" in question:
                assert load is not None
                answer["messages"], answer["seconds"] = load.run(question["run"])
            elif load is not None:
                load.close()
                load = None
        except (OSError, WrongEcho) as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
