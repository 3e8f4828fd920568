"""One suite in one process: started in its own process group, followed through its events file, ended in time.

The process writes its output to a log file and its events (tests/conftest.py) to another. Neither is lost when it
is killed, so the running test can be named and the results before it counted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

NOTHING_SELECTED = 5  # pytest's exit status when no test was collected, or -k left none

# What faulthandler's timer writes before it ends a process, at the start of a line or behind pytest's dots.
WATCHDOG = b"Timeout (0:"

# Patching comes before every other import of the process, or modules keep the blocking originals.
PATCHES = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
MAIN = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"


@dataclass(frozen=True)
class Suite:
    name: str
    folder: str
    limit: float  # seconds for the whole process
    patched: str = ""
    everywhere: bool = False  # run on every interpreter
    pure: bool = False  # without the parts in C


@dataclass
class SuiteRun:
    suite: Suite
    label: str  # the interpreter's, "3.12"
    python: str
    results: Path
    select: str = ""
    environment: dict[str, str] = field(default_factory=dict)  # what to add to the environment

    outcomes: dict[str, str] = field(default_factory=dict)
    skips: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # what went wrong beyond failed tests
    current: str = "starting"
    ended: int = 0
    total: int = 0
    seconds: float = 0.0
    done: bool = False

    @property
    def title(self) -> str:
        return f"{self.suite.name} on {self.label}"

    @property
    def log(self) -> Path:
        return self.results / f"{self.suite.name}-{self.label}.log"

    @property
    def events(self) -> Path:
        return self.results / f"{self.suite.name}-{self.label}.events"

    def count(self, outcome: str) -> int:
        return list(self.outcomes.values()).count(outcome)

    @property
    def failed(self) -> int:
        return self.count("failed") + len(self.problems)

    def start(self) -> None:
        self.results.mkdir(parents=True, exist_ok=True)
        self.events.write_text("")
        code = "; ".join(filter(None, [PATCHES.get(self.suite.patched, ""), MAIN]))
        # `-c` puts the current folder, the project root, on sys.path, and nothing else.
        command = [self.python, "-c", code, self.suite.folder]
        if self.select:
            command += ["-k", self.select]
        environment = {**os.environ, "TEST_EVENTS": str(self.events), "PYTHONUNBUFFERED": "1", **self.environment}
        environment.pop("GREEN_PATCHED", None)
        if self.suite.pure:
            environment["SIMPLE_WEBSOCKET_PURE"] = "1"
        if self.suite.patched:
            environment["GREEN_PATCHED"] = self.suite.patched
        self._started = time.monotonic()
        self._offset = 0
        self._finished_tests = False
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def follow(self) -> bool:
        """Look at what is new; True when the suite is over."""
        self._read_events()
        self.seconds = time.monotonic() - self._started
        status = self._process.poll()
        if status is None and self.seconds > self.suite.limit:
            self._read_events()
            self.problems.append(f"killed after {self.suite.limit:g} s while running {self.current}")
            self.stop()
        elif status is not None:
            self._read_events()
            self._judge(status)
        else:
            return False
        self._sweep()
        self.done = True
        return True

    def stop(self) -> None:
        """End the process and all it started. SIGABRT first: faulthandler then writes the stacks to the log."""
        for number, patience in ((signal.SIGABRT, 2.0), (signal.SIGKILL, 10.0)):
            try:
                if number == signal.SIGABRT:
                    self._process.send_signal(number)
                else:
                    os.killpg(self._process.pid, number)
            except (ProcessLookupError, PermissionError):
                pass
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        self._kill_marked()

    def _read_events(self) -> None:
        with self.events.open("rb") as stream:
            stream.seek(self._offset)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            event = json.loads(line)
            kind, test = event["event"], event.get("test", "")
            if kind == "collected":
                self.total = event["count"]
            elif kind == "start":
                self.current = test
            elif kind == "end":
                self.ended += 1
                self.current = f"what follows {test}"
            elif kind == "finished":
                self._finished_tests = True
                self.current = "the end of the process, after the last test"
            elif kind == "outcome":
                self._record(test, event["outcome"], event["when"], event.get("reason", ""))

    def _record(self, test: str, outcome: str, when: str, reason: str) -> None:
        if outcome == "failed" and when == "collect":
            test = f"{test} (import)"
        # A test that passed and then failed in its clean-up has failed.
        if self.outcomes.get(test) != "failed":
            self.outcomes[test] = outcome
        if outcome == "skipped":
            self.skips.append((test, reason))

    def _judge(self, status: int) -> None:
        if status < 0:
            try:
                name = signal.Signals(-status).name
            except ValueError:
                name = f"signal {-status}"
            self.problems.append(f"died of {name} while running {self.current}")
        elif status and WATCHDOG in self.log.read_bytes():
            self.problems.append(f"over the time limit of a test, which ended the process: {self.current}")
        elif not self._finished_tests:
            self.problems.append(f"ended with status {status} while running {self.current}")
        elif status == NOTHING_SELECTED:
            if not self.select:
                self.problems.append("no test ran")
        elif status and not self.count("failed"):
            self.problems.append(f"ended with status {status}, though no test failed, at {self.current}")
        elif not self.count("passed") and not self.count("failed"):
            self.problems.append("no test ran")

    def _sweep(self) -> None:
        """A process that outlives its suite is a fault of the tests or of the library: end it and say so."""
        deadline = time.monotonic() + 2.0
        while left := self._marked():
            if time.monotonic() > deadline:
                names = ", ".join(sorted(left.values()))
                self.problems.append(f"left running: {names}")
                break
            time.sleep(0.05)
        self._kill_marked()

    def _kill_marked(self) -> None:
        for pid in self._marked():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _marked(self) -> dict[int, str]:
        """Living processes that inherited this run's TEST_EVENTS, whatever group they are in: pid -> command line."""
        marker = f"TEST_EVENTS={self.events}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    found[int(folder.name)] = command[:120]
            except OSError:
                continue  # gone, or not ours to look at
        return found
