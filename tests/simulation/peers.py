"""The scripted peer: a WebSocket of which the plan says every step; it reads and answers all the time, unless told otherwise."""

from __future__ import annotations

import socket
import struct
import zlib
from collections import Counter
from typing import Any

from greenlet import GreenletExit

from tests.support.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameReader,
    Head,
    close_payload,
    frame,
    request,
    response,
)

from .machine import Machine
from .network import Pipe
from .plan import Step
from .scheduler import Scheduler, Task
from .sockets import Socket

__all__ = ["ScriptedPeer"]

#: So many pings may be without an answer before the oldest of them get none.
ANSWERED = 64

EXTENSION = ("Sec-WebSocket-Extensions: permessage-deflate",)


class ScriptedPeer:
    """The other side.

    :param client: whether it is the client.
    :param compression: whether to ask for, or accept, permessage-deflate.
    """

    def __init__(self, machine: Machine, client: bool, compression: bool, script: list[Step]) -> None:
        self.scheduler: Scheduler = machine.scheduler
        self.machine = machine
        self.sock: Any = None
        self.client = client
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.healthy = True  # it reads, answers, and is there
        self.gone_at: float | None = None  # when it stopped for good to answer
        self.violated = False
        self.close_seen = False
        self._compression = compression
        self._script = script
        self._frames = FrameReader(masked=not client)
        self._deflater = zlib.compressobj(wbits=-15)
        self._queue: list[bytes] = []
        self._work = machine.backend.event_class()
        self._stalled_until = 0.0
        self._close_sent = False
        self._mute = False
        self._over = False  # nothing more is written
        self._tasks: list[Task] = []

    # The opening handshake

    def shake_hands(self, sock: Socket) -> None:
        self.sock = sock
        sock.setblocking(True)
        if self.client:
            sock.sendall(request("peer", headers=EXTENSION if self._compression else ()))
            self._read_head()
        else:
            head = self._read_head()
            offered = "sec-websocket-extensions" in head.headers
            sock.sendall(response(head, EXTENSION if offered and self._compression else ()))

    def _read_head(self) -> Head:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.sock.recv(4096)
            if not piece:
                raise ConnectionResetError("no handshake")
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        self._frames.feed(rest)
        found = Head(head)
        if self.client:
            self._compression = "sec-websocket-extensions" in found.headers
        return found

    # Three tasks

    def start(self) -> None:
        acts = {"peer reads": self._read, "peer writes": self._write, "peer acts": self._follow_script}
        self._tasks = [self.scheduler.spawn(act, name) for name, act in acts.items()]

    @property
    def stalled(self) -> bool:
        """Whether it reads nothing at the moment."""
        return self._stalled_until > self.scheduler.now

    @property
    def unanswered(self) -> bool:
        """Whether a ping has no pong yet; when there are very many, it is enough to answer the later ones (section 5.5.3)."""
        return bool(Counter(self.pings[-ANSWERED:]) - Counter(self.pongs))

    @property
    def pipes(self) -> tuple[Pipe, ...]:
        """Both directions of its connection."""
        return tuple(pipe for pipe in (self.sock.sending, self.sock.receiving) if pipe is not None)

    def ping(self, payload: bytes) -> None:
        self._put(PING, payload)

    def hang_up(self) -> None:
        """The end of the program."""
        self.sock.close()
        for task in self._tasks:
            self.scheduler.throw(task, GreenletExit())

    def _read(self) -> None:
        while True:
            if self._stalled_until > self.scheduler.now:
                self.scheduler.sleep(self._stalled_until - self.scheduler.now)
                continue
            found = self._frames.next()
            if found is not None:
                self._take(found.opcode, found.payload)
                continue
            try:
                if not self.sock.readable:  # so that a stall does not begin in the middle of a recv
                    self.sock.wait_until(lambda: self.sock.readable, None, f"the peer's data on {self.sock}")
                    continue
                data = self.sock.recv(4096)
            except OSError:
                data = b""
            if not data:
                break
            self._frames.feed(data)
        self.healthy = False
        self._over = True
        self._work.set()
        self.sock.close()

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING and not self._mute:
            self._put(PONG, payload)
        elif opcode == PONG:
            self.pongs.append(payload)
        elif opcode == CLOSE:
            self.close_seen = True
            self.healthy = False
            if not self._close_sent and not self._mute:
                self._put(CLOSE, payload[:2])
            if not self.client and not self._mute:
                self._queue.append(b"")  # a server ends TCP

    def _write(self) -> None:
        while not self._over:
            if not self._queue:
                self._work = self.machine.backend.event_class()
                if not self._queue and not self._over:
                    self._work.wait()
                continue
            data = self._queue.pop(0)
            try:
                if data:
                    self.sock.sendall(data)
                else:
                    self.sock.shutdown(socket.SHUT_WR)
                    self._over = True
            except OSError:
                self._over = True

    def _put(self, opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0) -> None:
        if self._close_sent:
            return
        self._close_sent = opcode == CLOSE
        if opcode == PING:
            self.pings.append(payload)
        self._queue.append(frame(opcode, payload, fin=fin, rsv=rsv, masked=self.client))
        self._work.set()

    # The script

    def _follow_script(self) -> None:
        for number, step in enumerate(self._script):
            self.scheduler.note(f"{step}")
            getattr(self, "_step_" + step[0].replace(" ", "_"))(number, *step[1:])

    def _step_say(self, number: int, size: int, text: bool, fragments: int) -> None:
        message = f"peer.{number}.".encode() + b"p" * size
        rsv = 0
        if self._compression and size > 100:
            message = self._deflater.compress(message) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
            message, rsv = message[:-4], 0x40
        step = len(message) // fragments + 1
        pieces = [message[at : at + step] for at in range(0, len(message), step)]
        for index, piece in enumerate(pieces):
            opcode = CONTINUATION if index else TEXT if text else BINARY
            self._put(opcode, piece, index == len(pieces) - 1, 0 if index else rsv)
            if fragments > 1:
                self._put(PING, b"between")

    def _step_ping(self, number: int, size: int) -> None:
        self._put(PING, f"{number}:".encode().ljust(size, b"i")[:125])

    def _step_pong(self, number: int) -> None:
        self._put(PONG, b"nobody asked")

    def _step_sleep(self, number: int, seconds: float) -> None:
        self.scheduler.sleep(seconds)

    def _step_stall(self, number: int, seconds: float) -> None:
        self._stalled_until = max(self._stalled_until, self.scheduler.now + seconds)

    def _step_close(self, number: int) -> None:
        self.healthy = False
        self._put(CLOSE, close_payload(3000 + number, "script"))

    def _step_close_and_go(self, number: int) -> None:
        self._step_close(number)
        self._queue.append(b"")
        self._work.set()

    def _step_fin(self, number: int) -> None:
        self.healthy = False
        self._queue.append(b"")
        self._work.set()

    def _step_reset(self, number: int) -> None:
        self.healthy = False
        self._over = True
        self._work.set()
        if self.sock.fileno() >= 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()
        self.sock.changed()  # its own reader is not left behind

    def _step_vanish(self, number: int) -> None:
        self._step_mute(number)
        if self.sock.sending is not None:
            self.sock.sending.vanish()
            self.sock.receiving.vanish()

    def _step_mute(self, number: int) -> None:
        """It reads nothing and says nothing any more."""
        self.healthy = False
        self._mute = True
        self.gone_at = self.scheduler.now
        self._stalled_until = self.scheduler.now + 1000.0
        self._queue.clear()

    def _step_violate(self, number: int) -> None:
        self.healthy = False
        self.violated = True
        self._queue.append(b"\xff" * 9)
        self._work.set()
