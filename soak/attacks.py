"""Attacks on a real server process, and how fast it serves the others meanwhile: `python -m soak.attacks SERVER SECONDS`.

Servers: those of ``tests.attacks.attacked``.  The attacker is a process of its own; those who are to be served are this one.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from demo.process import ROOT, ServerProcess
from tests.attacks.attacked import ENVIRONMENT
from tests.support.attacks import ATTACKS, Attack
from tests.support.memory import MIB, forget, resident
from tests.support.wire import PING, TEXT, frame, request

from .report import Finding, say

CLIENTS = 8
PAUSE = 0.01
#: What must hold: a server under attack, besides what its connections may hold as documented; and the others' echoes.
ALLOWANCE = 16 * MIB
P99 = 0.1
#: Seconds for the slowest echo: one that waits for the end of the attack is a single one, and no percentile shows it.
SLOWEST = 0.5
PATIENCE = 20.0
TIME_LIMIT = 120


class Other:
    """Somebody else: a connection of bare bytes, so that what is measured is the server."""

    _PAYLOAD = b"x" * 64
    _ECHO = frame(TEXT, _PAYLOAD, masked=True)

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock.sendall(request("127.0.0.1", "/echo"))
        self._stream = self._sock.makefile("rb")
        while self._stream.readline().strip():
            pass

    def echo(self) -> float:
        """Return how many seconds one echo took."""
        started = time.perf_counter()
        self._sock.sendall(self._ECHO)
        while (got := self._frame()) != (TEXT, self._PAYLOAD):
            if got[0] != PING:  # the next echo is our sign of life
                raise ConnectionResetError(f"instead of an echo came a frame with opcode {got[0]}")
        return time.perf_counter() - started

    def _frame(self) -> tuple[int, bytes]:
        """Read one short frame: its opcode and payload."""
        header = self._stream.read(2)
        if len(header) < 2:
            raise ConnectionResetError("an innocent connection was ended")
        return header[0] & 15, self._stream.read(header[1])

    def close(self) -> None:
        self._stream.close()
        self._sock.close()


def measure(server: ServerProcess, attack: Attack, seconds: float) -> Finding:
    others = [Other(server.port) for _ in range(CLIENTS)]
    for other in others:
        other.echo()
    forget(server.pid)
    before, _ = resident(server.pid)
    command = [sys.executable, "-m", "tests.support.attacks", attack.name, str(server.port), str(seconds)]
    times: list[float] = []
    troubles: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as attacking:
        assert attacking.stdout is not None
        try:
            while attacking.poll() is None:
                for other in others:
                    times.append(other.echo())
                time.sleep(PAUSE)
        except OSError as error:
            troubles.append(f"the others were not served: {error!r}")
        counts = json.loads(attacking.stdout.read())
    grown = resident(server.pid)[1] - before
    for other in others:
        other.close()
    times.sort()
    p99 = times[int(len(times) * 0.99)] if times else PATIENCE
    allowed = ALLOWANCE + attack.connections * attack.holds
    if p99 > P99:
        troubles.append(f"p99 {p99 * 1000:.0f} ms")
    if times and times[-1] > SLOWEST:
        troubles.append(f"the slowest echo took {times[-1] * 1000:.0f} ms")
    if grown > allowed:
        troubles.append(f"{grown / MIB:.1f} MiB, allowed are {allowed / MIB:.1f}")
    figures = {"echoes": len(times), "p50 ms": _ms(times[len(times) // 2] if times else 0), "p99 ms": _ms(p99)}
    figures |= {"max ms": _ms(times[-1] if times else 0), "grown MiB": round(grown / MIB, 1), "attacks": counts["connections"]}
    return Finding(attack.name, figures, troubles)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def main(kind: str, seconds: str) -> None:
    def command(port: int) -> list[str]:
        return ["-m", "tests.attacks.attacked", kind, str(port), str(TIME_LIMIT)]

    with tempfile.TemporaryDirectory() as folder:
        for attack in ATTACKS.values():
            # A fresh process for each, because the allocator keeps what an earlier one has made it take.
            with ServerProcess(kind, command, Path(folder) / "log", ENVIRONMENT) as server:
                finding = measure(server, attack, float(seconds))
            say(f"    {attack.name}: p99 {finding.figures['p99 ms']} ms, {finding.figures['grown MiB']} MiB")
            finding.tell()


if __name__ == "__main__":
    main(*sys.argv[1:])
