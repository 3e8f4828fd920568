"""Many clients that echo, lose their connection and come back: `python -m tests.proxies.clients URL COUNT`.

A thread each, in a process of their own. Several times a second a line of JSON on stdout tells how they are; when stdin
ends they stop, and the last line is what they have seen. `Crowd` starts the process and reads both.

No id is ever sent twice: a client that loses its connection goes on with the next one. So an id that the server knows
twice was doubled on the way, and one that came back and the server does not know was lost.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simple_websocket import Client, ConnectionClosed, ConnectionError

PAUSE = 0.5  # seconds between an echo and the next message
BACKOFF = (0.02, 0.3)  # seconds before another attempt: the first, the longest
NO_ECHO = 20.0
OPEN_TIMEOUT = 20.0  # not to give up what then counts as one long wait
REPORT = 0.1
LONGEST_WAIT = 5.0
ROOT = Path(__file__).resolve().parent.parent.parent


class Member(threading.Thread):
    """One client. Its attributes are written by its own thread and read by the one that reports."""

    def __init__(self, url: str, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.sent = 0
        self.closes: Counter[int] = Counter()
        self.refusals: Counter[str] = Counter()
        self.faults: list[str] = []
        self.process = ""  # which of the server's processes has answered last
        self.longest_wait = 0.0
        self.waiting_since: float | None = time.monotonic()  # for an echo, connecting included
        self._url = url
        self._number = number
        self._stop_asked = stop

    def run(self) -> None:
        backoff = BACKOFF[0]
        while not self._stop_asked.is_set():
            try:
                ws = Client.connect(self._url, open_timeout=OPEN_TIMEOUT, compression=False)
            except (ConnectionError, OSError) as error:
                self.refusals[str(getattr(error, "status_code", None) or repr(error))] += 1
                self._stop_asked.wait(backoff)
                backoff = min(2 * backoff, BACKOFF[1])
                continue
            backoff = BACKOFF[0]
            try:
                self._talk(ws)
                ws.close()
            except ConnectionClosed as closed:
                self.closes[int(closed.reason)] += 1
                self.waiting_since = self.waiting_since or time.monotonic()

    def _talk(self, ws: Client) -> None:
        while not self._stop_asked.is_set():
            self.waiting_since = self.waiting_since or time.monotonic()
            name = f"{self._number}-{self.sent}"
            self.sent += 1
            ws.send(name)
            answer = ws.receive(timeout=NO_ECHO)
            if answer is None:
                self.faults.append(f"no echo of {name} within {NO_ECHO:g} s, and no close")
                return
            echoed, _, self.process = str(answer).partition(" ")
            if echoed != name:
                self.faults.append(f"{echoed} came back for {name}")
            self.acknowledged.append(echoed)
            self.longest_wait = max(self.longest_wait, time.monotonic() - self.waiting_since)
            self.waiting_since = None
            more = ws.receive(timeout=PAUSE)
            if more is not None:
                self.faults.append(f"{more} came back when nothing was sent")


def wait_of(member: Member, now: float) -> float:
    since = member.waiting_since
    return max(member.longest_wait, 0.0 if since is None else now - since)


def main(url: str, count: int) -> None:
    stop = threading.Event()
    members = [Member(url, number, stop) for number in range(count)]
    for member in members:
        member.start()
    while not select.select([sys.stdin], [], [], REPORT)[0]:
        processes = Counter(member.process for member in members)
        waiting = sum(member.waiting_since is not None for member in members)
        print(json.dumps({"processes": processes, "waiting": waiting}), flush=True)
    now = time.monotonic()
    waits = [wait_of(member, now) for member in members]  # one that still waits counts as well
    stop.set()
    deadline = time.monotonic() + 30
    for member in members:
        member.join(max(0.0, deadline - time.monotonic()))
    print(
        json.dumps(
            {
                "sent": sum(member.sent for member in members),
                "acknowledged": [name for member in members for name in member.acknowledged],
                "closes": sum((member.closes for member in members), Counter()),
                "refusals": sum((member.refusals for member in members), Counter()),
                "faults": [fault for member in members for fault in member.faults],
                "longest_wait": max(waits),
                "stuck": sum(member.is_alive() for member in members),
            }
        ),
        flush=True,
    )
    os._exit(0)  # whatever is stuck has been reported


class Crowd:
    """The process of the clients, as a context manager."""

    def __init__(self, url: str, count: int) -> None:
        self.count = count
        self.now: dict[str, Any] = {}
        self._command = [sys.executable, "-m", "tests.proxies.clients", url, str(count)]

    def __enter__(self) -> Crowd:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_until(self, condition: Callable[[dict[str, Any]], bool], within: float, what: str) -> None:
        """Follow how they are until the condition holds."""
        deadline = time.monotonic() + within
        while not condition(self._next()):
            assert time.monotonic() < deadline, f"{what}: not within {within:g} s; {self.now}"

    def all_served_by(self, others_than: set[str], within: float) -> set[str]:
        """Wait until the latest echo of every client is from other processes than these; which ones they are."""

        def condition(now: dict[str, Any]) -> bool:
            return not {"", *others_than}.intersection(now["processes"])

        self.wait_until(condition, within, f"all {self.count} clients served by new processes")
        return set(self.now["processes"])

    def stop(self) -> dict[str, Any]:
        """Let them close; what they have seen."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None
        while "acknowledged" not in self._next():
            pass
        return self.now

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process of the clients has ended"
        self.now = json.loads(line)
        return self.now


def check(report: dict[str, Any], ledger: Path, graceful: bool = True, slowness: float = 1.0) -> None:
    """Nothing acknowledged was lost or doubled, nobody waited longer than five seconds.

    :param graceful: no process was killed, so what the server has sent must have arrived.
    :param slowness: of the machine, by which the five seconds are multiplied.
    """
    entries = Counter(ledger.read_text().splitlines())
    doubled = [entry for entry, times in entries.items() if times > 1]
    assert not doubled, f"the server has these twice: {doubled[:10]}"
    acknowledged = Counter(report["acknowledged"])
    assert not [name for name, times in acknowledged.items() if times > 1], "an echo came twice"
    lost = [name for name in acknowledged if f"received {name}" not in entries]
    assert not lost, f"acknowledged, and the server never had them: {lost[:10]}"
    if graceful:
        sent = {entry.removeprefix("sent ") for entry in entries if entry.startswith("sent ")}
        vanished = sorted(sent.difference(acknowledged))
        assert not vanished, f"{len(vanished)} echoes were sent and did not arrive: {vanished[:10]}"
    assert not report["faults"], report["faults"][:10]
    assert not report["stuck"], f"{report['stuck']} clients do not end"
    assert report["longest_wait"] <= LONGEST_WAIT * slowness, f"a client waited {report['longest_wait']:.1f} s"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
