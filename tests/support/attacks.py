"""Hostile clients: what a peer can do to a server that costs it little.  Bytes and sockets alone, none of the package's code.

`python -m tests.support.attacks NAME PORT SECONDS` runs one of them against a server of ``tests.attacks.attacked``, in a process
of its own, and says in one line of JSON what became of its connections.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass

from .wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload, frame, request

#: What the attacked application sets, and what one connection may therefore hold.
KIB, MIB = 1024, 1024 * 1024
MAX_MESSAGE = MIB
MAX_UNREAD = MIB

#: Where other connections are tested beside a flood: the seconds of the server's processor time that one echo may take, and the
#: seconds of everybody's time that the flood lasts.
DEAREST_ECHO, FLOODED = 0.8, 2.4

_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15"
_BATCH = 64 * KIB


@dataclass(frozen=True)
class Attack:
    """One way to be a nuisance.

    :param name: to call it by.
    :param first: sent once, behind the opening handshake.
    :param again: sent again and again, as fast as the server takes it; empty for nothing.
    :param pause: seconds between two of those.
    :param connections: how many at a time.
    :param path: which route of the attacked application.
    :param headers: of the request.
    :param holds: the bytes that a connection may hold in the server, as documented: messages, unread and in the making.
    :param reads: whether it reads what the server sends.
    :param resets: ends its connections with a reset right after `first`, and makes new ones.
    :param ended: whether the server has to end these connections; else it has to keep them.
    """

    name: str
    first: bytes = b""
    again: bytes = b""
    pause: float = 0.0
    connections: int = 8
    path: str = "/echo"
    headers: tuple[str, ...] = ()
    holds: int = 64 * KIB
    reads: bool = False
    resets: bool = False
    ended: bool = False


def _frames(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A batch of equal frames; masked with one key each, which costs the server the same."""
    one = frame(opcode, payload, fin=fin, rsv=rsv, masked=True)
    return one * max(1, _BATCH // len(one))


def _header(opcode: int, size: int) -> bytes:
    """The header of a masked frame of so many bytes, and a few of them."""
    return struct.pack("!BBQ", 0x80 | opcode, 0xFF, size) + bytes(4) + b"a few"


def _deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


_ALMOST = frame(BINARY, bytes(MAX_MESSAGE - 1), fin=False, masked=True)
_ALMOST_TEXT = frame(TEXT, "\U0001f409".encode() + b"x" * (MAX_MESSAGE - 5), fin=False, masked=True)

ATTACKS = {
    attack.name: attack
    for attack in (
        Attack("pings", again=_frames(PING, b"!" * 125)),
        Attack("empty-pings", again=_frames(PING)),
        Attack("pings-when-nobody-receives", again=_frames(PING, b"!" * 125), path="/deaf"),
        Attack("empty-fragments", frame(TEXT, fin=False, masked=True), _frames(CONTINUATION, fin=False)),
        Attack(
            "fragments",
            frame(BINARY, fin=False, masked=True),
            _frames(CONTINUATION, b"x" * 50, fin=False),
            connections=2,
            holds=3 * MAX_MESSAGE,
            ended=True,
        ),  # fmt: skip
        Attack("lying-header", _header(BINARY, MAX_MESSAGE), connections=64),
        Attack("impossible-header", _header(BINARY, 1 << 62), connections=8, ended=True),
        Attack("almost-a-message", _ALMOST, connections=16, holds=3 * MAX_MESSAGE),
        Attack("almost-a-text", _ALMOST_TEXT, connections=8, holds=9 * MAX_MESSAGE),
        Attack("unread", again=_frames(BINARY, bytes(1000)), path="/deaf", holds=MAX_UNREAD + 64 * KIB),
        Attack("unread-empty", again=_frames(BINARY), path="/deaf"),
        Attack("unread-wide-text", again=_frames(TEXT, ("x" * 996 + "\U0001f409").encode()), path="/deaf", holds=4 * MAX_UNREAD),
        Attack("tiny-messages", again=_frames(TEXT)),
        Attack(
            "bomb",
            frame(BINARY, _deflated(bytes(64 * MIB)), rsv=0x40, masked=True),
            headers=(_DEFLATE,),
            holds=3 * MAX_MESSAGE,
            ended=True,
        ),  # fmt: skip
        Attack(
            "bomb-that-just-fits",
            again=frame(BINARY, _deflated(bytes(MAX_MESSAGE)), rsv=0x40, masked=True),
            headers=(_DEFLATE,),
            path="/deaf",
            holds=MAX_UNREAD + 3 * MAX_MESSAGE,
        ),  # fmt: skip
        Attack(
            "final-blocks",
            frame(BINARY, b"\x03\x00" * (MAX_MESSAGE // 2), rsv=0x40, masked=True),
            headers=(_DEFLATE,),
            holds=2 * MAX_MESSAGE,
            ended=True,
        ),  # fmt: skip
        Attack("reads-nothing", path="/talk", holds=256 * KIB),
        Attack("one-byte-a-second", again=frame(TEXT, bytes(100), masked=True)[:1], pause=1.0, connections=64),
        Attack("resets", frame(TEXT, b"hello", masked=True), resets=True),
        Attack("nonsense", b"\xff" * 4096, reads=True, ended=True),
        Attack("two-closes", 2 * frame(CLOSE, close_payload(1000), masked=True), _frames(PING), ended=True),
    )
}


class Attacker:
    """Runs one attack with a thread for each connection, which makes a new one when the server ends it."""

    def __init__(self, attack: Attack, port: int) -> None:
        self._attack = attack
        self._port = port
        self._over = threading.Event()
        self.counts: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        threads = [threading.Thread(target=self._repeat, daemon=True) for _ in range(self._attack.connections)]
        for thread in threads:
            thread.start()
        self._over.wait(seconds)
        self._over.set()
        for thread in threads:
            thread.join(3.0)

    def _repeat(self) -> None:
        while not self._over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._port), 10) as sock:
                    self._be_a_nuisance(sock)
            except OSError as error:
                self.counts[type(error).__name__] += 1
                self._over.wait(0.05)

    def _be_a_nuisance(self, sock: socket.socket) -> None:
        attack = self._attack
        sock.sendall(request("127.0.0.1", attack.path, attack.headers))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = sock.recv(1)
            if not byte:
                raise ConnectionResetError("no answer")
            head += byte
        if not head.startswith(b"HTTP/1.1 101"):
            self.counts["refused"] += 1
            return
        self.counts["connections"] += 1
        if attack.resets:
            sock.sendall(attack.first)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        try:
            self._send(sock, attack.first)
            while not self._over.is_set():
                if attack.again:
                    self._send(sock, attack.again)
                self._pass_time(sock, attack.pause if attack.again else 0.1)
        except (BrokenPipeError, ConnectionResetError):
            self.counts["ended"] += 1

    def _send(self, sock: socket.socket, data: bytes) -> None:
        """Send all of it, however long that takes, unless the attack is over."""
        sock.settimeout(0.1)
        rest = memoryview(data)
        while rest and not self._over.is_set():
            try:
                sent = sock.send(rest)
            except TimeoutError:
                self.counts["stalls"] += 1
                self._pass_time(sock, 0)
                continue
            self.counts["bytes"] += sent
            rest = rest[sent:]

    def _pass_time(self, sock: socket.socket, seconds: float) -> None:
        """Wait, and look whether the server has ended the connection."""
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP | (select.POLLIN if self._attack.reads else 0))
        for _, event in poll.poll(seconds * 1000):
            if event & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
                raise BrokenPipeError("the server has ended the connection")
            sock.recv(_BATCH)


def main(name: str, port: str, seconds: str) -> None:
    attacker = Attacker(ATTACKS[name], int(port))
    started = time.monotonic()
    attacker.run(float(seconds))
    print(json.dumps({**attacker.counts, "seconds": round(time.monotonic() - started, 2)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
