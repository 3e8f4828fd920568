"""The load generator's process: ``python -m benchmarks.load``.

It shares no code with what it measures.  Frames are made before the clock starts: a message costs one ``send``, one ``recv``
and one comparison of bytes.  What comes back is compared byte for byte; anything else but the echo ends the measurement.

Questions, one JSON object a line: ``{"open": port, "case": name, "websocket": bool}`` connects, ``{"run": seconds}`` measures
echoes (0: one for each connection), ``{"broadcast": times}`` triggers broadcasts, ``{"hold": seconds}`` keeps connections idle,
``{"accept": count}`` opens and closes as many more, ``{"close": true}`` hangs up.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import ssl
import struct
import sys
import time
from typing import Any

from .cases import Case
from .opening import AT_ONCE, Opener
from .peer import DeflatePeer, Frames, Peer
from .wire import BROADCAST, TRIGGER, WrongEcho, masked, read_header

__all__ = ["Load", "main"]

_TIMEOUT = 20.0  # seconds without any echo
_CHECK_CLOCK = 64  # a lone connection looks at the clock after this many messages
_PROBE_PAUSE = 0.02  # seconds between two echoes while connections are held
_PING, _PONG = 0x89, 10


class Load:
    """Connections to one subject.

    :param port: where it listens.
    :param case: what load to put on it.
    :param websocket: whether it speaks WebSocket, or echoes bytes.
    """

    def __init__(self, port: int, case: Case, websocket: bool) -> None:
        self._case = case
        self._opener = Opener(port, websocket, case.mode)
        opened = self._opener.open(case.connections)
        frames = Frames(case, websocket, opened[0][1].window_bits if opened[0][1] else 0)
        kind = DeflatePeer if frames.deflated else Peer
        self._peers = [kind(sock, frames) for sock, _ in opened]
        self._by_fd = {peer.sock.fileno(): peer for peer in self._peers}
        self._poller = select.epoll()
        for fd in self._by_fd:
            self._poller.register(fd, select.EPOLLIN)

    def run(self, seconds: float) -> tuple[int, float]:
        """Send and receive for some time; return how many echoes came and how many seconds that took, the last one included."""
        case = self._case
        # Frames that fit into a socket's buffer many times over are written whole: a lone ping-pong needs no poller.
        lone = case.connections == case.in_flight == 1 and case.size <= 4096 and case.mode == "plain"
        return self._run_lone(seconds) if lone else self._run_all(seconds)

    def _run_lone(self, seconds: float) -> tuple[int, float]:
        peer = self._peers[0]
        peer.sock.settimeout(None)
        # Python's own timeouts cost a system call each; the kernel's does not.
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(_TIMEOUT), 0))
        sent = received = 0
        started = now = time.perf_counter()
        end = started + seconds
        while True:
            for _ in range(_CHECK_CLOCK if seconds else 1):
                peer.send(1)
                sent += 1
                try:
                    while received < sent:
                        received += peer.receive()
                except BlockingIOError:
                    raise _silent() from None
            now = time.perf_counter()
            if now >= end:
                break
        peer.sock.setblocking(False)
        return received, now - started

    def _run_all(self, seconds: float) -> tuple[int, float]:
        in_flight = self._case.in_flight
        due = len(self._peers) * in_flight
        received = 0
        started = now = time.perf_counter()
        end = started + seconds
        for peer in self._peers:
            self._send(peer, in_flight)
        while due:
            ready = self._poller.poll(_TIMEOUT)
            if not ready:
                raise _silent()
            going_on = now < end
            for fd, mask in ready:
                peer = self._by_fd[fd]
                if mask & select.EPOLLOUT:
                    peer.send_rest()
                    self._watch(peer)
                if mask & ~select.EPOLLOUT:
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
        self._poller.modify(peer.sock.fileno(), select.EPOLLIN | (select.EPOLLOUT if peer.unfinished else 0))

    def broadcast(self, times: int) -> float:
        """Have the subject send to all connections so often; return how many seconds that took."""
        started = time.perf_counter()
        for _ in range(times):
            self._peers[0].sock.send(TRIGGER)
            got: dict[int, bytes] = {}
            missing = len(self._peers)
            while missing:
                ready = self._poller.poll(_TIMEOUT)
                if not ready:
                    raise _silent()
                for fd, _ in ready:
                    data = self._by_fd[fd].sock.recv(len(BROADCAST))
                    if data == BROADCAST:
                        missing -= 1
                        continue
                    data = got[fd] = got.get(fd, b"") + data
                    if data == BROADCAST:
                        missing -= 1
                    elif not data or not BROADCAST.startswith(data):
                        raise WrongEcho(f"{data[:80]!r} was broadcast instead of {BROADCAST[:80]!r}")
        return time.perf_counter() - started

    def hold(self, seconds: float) -> dict[str, Any]:
        """Answer pings, and have echoes on one connection now and then; return seconds of each echo, and the count of pings."""
        probe = self._peers[0]
        latencies: list[float] = []
        pings = 0
        now = time.perf_counter()
        end, sent, due = now + seconds, 0.0, now
        while now < end or sent:
            if not sent and now >= due:
                probe.send(1)
                sent, due = now, now + _PROBE_PAUSE
            ready = self._poller.poll(_TIMEOUT if sent else max(0.0, due - now))
            if sent and not ready:
                raise _silent()
            now = time.perf_counter()
            for fd, _ in ready:
                peer = self._by_fd[fd]
                data = peer.sock.recv(4096)
                if not data:
                    raise WrongEcho("the subject closed a connection that was held")
                while data[:1] == bytes((_PING,)):
                    header = read_header(data)
                    assert header is not None
                    _, length, size = header
                    peer.sock.send(masked(data[length : length + size], _PONG))
                    data = data[length + size :]
                    pings += 1
                if data and peer.check(data):
                    latencies.append(now - sent)
                    sent = 0.0
        return {"latencies": latencies, "pings": pings}

    def accept(self, count: int) -> float:
        """Open and close so many connections, some at a time; return how many seconds that took."""
        started = time.perf_counter()
        for _ in range(count // AT_ONCE):
            self._opener.hang_up([sock for sock, _ in self._opener.open(AT_ONCE)])
        return time.perf_counter() - started

    def close(self) -> None:
        """Hang up."""
        self._poller.close()
        self._opener.hang_up([peer.sock for peer in self._peers])


def _silent() -> WrongEcho:
    return WrongEcho(f"no echo within {_TIMEOUT:.0f} s")


def _answer(load: Load, question: dict[str, Any]) -> dict[str, Any]:
    before = time.process_time()
    if "run" in question:
        messages, seconds = load.run(question["run"])
        return {"messages": messages, "seconds": seconds, "cpu": time.process_time() - before}
    if "broadcast" in question:
        return {"seconds": load.broadcast(question["broadcast"])}
    if "hold" in question:
        return load.hold(question["hold"])
    return {"seconds": load.accept(question["accept"]), "count": question["accept"] // AT_ONCE * AT_ONCE}


def main() -> None:
    """Do what the lines of the standard input say."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load: Load | None = None
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if "open" in question:
                started = time.perf_counter()
                load = Load(question["open"], Case.parse(question["case"]), question["websocket"])
                answer["seconds"] = time.perf_counter() - started
            elif load is None:
                raise WrongEcho("nothing is open")
            elif "close" in question:
                load.close()
                load = None
            else:
                answer = _answer(load, question)
        except (OSError, ssl.SSLError, WrongEcho) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
