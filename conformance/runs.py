"""One mode run against the suite: its processes started, followed through the suite's log, and ended in time.

Everything of a run is in its folder, build/conformance/MODE: the suite's report (index.html), its log, the log of the library's
process, and the specification that the suite was given.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from demo.process import NotStarted, ServerProcess, free_port

from .modes import Mode
from .report import BadReport, Counts, Outcome, read_index
from .suite import ROOT, Suite

__all__ = ["ModeRun"]

STARTING = 60.0  # seconds within which the suite has to listen
ATTEMPTS = 3  # another process may take the port that was free a moment ago
PATIENCE = 5.0

ASKED = re.compile(rb"Ok, will run (\d+) test cases")
RUNNING = re.compile(rb"Running test case ID ([\d.]+) ")

# A case may be OK for the suite while the process behind it is not.
TRACEBACK = b"Traceback (most recent call last)"


class ModeRun:
    """One mode and the suite, to be started, followed until it is over, and then asked for its outcome.

    :param mode: what to test.
    :param suite: what to test it with.
    :param results: where the folder of the run goes.
    :param cases: patterns of cases, as the suite understands them.
    :param without: patterns of cases to leave out.
    :param limit: seconds after which the run is ended, and counts as failed.
    """

    def __init__(self, mode: Mode, suite: Suite, results: Path, cases: list[str], without: list[str], limit: float) -> None:
        self.mode = mode
        self.folder = results / mode.name
        self.asked = 0
        self.begun = 0
        self.current = "the start"
        self._suite = suite
        self._cases = {"cases": cases, "exclude-cases": without, "exclude-agent-cases": {}}
        self._limit = limit
        self._problems: list[str] = []
        self._started = time.monotonic()
        self._read = 0
        self._server: ServerProcess | None = None
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    @property
    def suite_log(self) -> Path:
        """What the suite writes."""
        return self.folder / "suite.log"

    @property
    def library_log(self) -> Path:
        """What the library's process writes."""
        return self.folder / "library.log"

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._started

    @property
    def state(self) -> str:
        """Where it is, for people."""
        return f"{self.mode.title} {self.begun}/{self.asked or '?'} {self.current}, {self.seconds:.0f} s"

    def start(self) -> None:
        """Start its processes.  What keeps them from starting is a problem of the outcome."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._started = time.monotonic()
        try:
            if self.mode.client:
                self._start_client()
            else:
                self._start_server()
        except NotStarted as error:
            self._problems.append(str(error))

    def follow(self) -> bool:
        """Look at what is new; return whether the run is over."""
        self._read_log()
        if self._problems:
            return True
        if self.seconds > self._limit:
            self._problems.append(f"ended after {self._limit:.0f} s, while running {self.current} ({self.begun} of {self.asked})")
            return True
        # The one that was started last ends by itself when all is done; a server does not.
        *others, (name, last) = self._processes
        status = last.poll()
        for other, process in others:
            if status is None and process.poll() is not None:
                self._problems.append(f"{other} ended with status {process.returncode} while running {self.current}")
        if status is None:
            return bool(self._problems)
        if status:
            self._problems.append(f"{name} ended with status {status} while running {self.current}")
        return True

    def stop(self) -> None:
        """End all of its processes."""
        while self._processes:
            _, process = self._processes.pop()
            end(process)
        if self._server is not None:
            self._server.stop()
        self._suite.kill(self._unique)
        self._read_log()

    def outcome(self) -> Outcome:
        """Return what came out, once it is over and stopped."""
        counts, deviations = Counts(self.asked), list[str]()
        try:
            counts, deviations = read_index(self.folder / "report" / "index.json", self.mode.name, self.asked)
        except BadReport as error:
            self._problems.append(str(error))
        if self.library_log.exists() and TRACEBACK in self.library_log.read_bytes():
            self._problems.append(f"an exception nobody caught; see {self.library_log.name}")
        return Outcome(self.mode.title, counts, deviations, self._problems, self.seconds)

    @property
    def _unique(self) -> str:
        return f"conformance-{os.getpid()}-{self.mode.name}"

    def _specify(self, **more: object) -> str:
        name = "spec.json"
        (self.folder / name).write_text(json.dumps({"outdir": "report", **self._cases, **more}, indent=1))
        return name

    def _start_server(self) -> None:
        limit = int(self._limit) + 60
        # gunicorn keeps its control socket there; several of them must not share one.
        environment = {"XDG_RUNTIME_DIR": str(self.folder)}
        server = ServerProcess(self.mode.name, lambda port: self.mode.serve(port, limit), self.library_log, environment)
        self._server = server
        server.start()
        spec = self._specify(servers=[{"agent": self.mode.name, "url": server.url("/")}])
        self._spawn("the suite", self._suite.fuzzing_client(self._unique, self.folder, spec), self.suite_log, self.folder)

    def _start_client(self) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            port = free_port()
            spec = self._specify(url=f"ws://127.0.0.1:{port}")
            command = self._suite.fuzzing_server(self._unique, self.folder, spec, port)
            suite = self._spawn("the suite", command, self.suite_log, self.folder)
            if self._answers(suite, port):
                break
            self.stop()
            if attempt == ATTEMPTS:
                raise NotStarted(f"the suite did not start\n{tail(self.suite_log)}")
        arguments = self.mode.connect(f"ws://127.0.0.1:{port}", int(self._limit) + 60)
        self._spawn("the client", [sys.executable, *arguments], self.library_log, ROOT)

    def _answers(self, suite: subprocess.Popen[bytes], port: int) -> bool:
        """Wait until the suite answers HTTP; False if it ended instead, or does not in time."""
        deadline = time.monotonic() + STARTING
        while suite.poll() is None and time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                connection.request("GET", "/", headers={"Connection": "close"})
                connection.getresponse().read()
                return True
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
            finally:
                connection.close()
        return False

    def _spawn(self, name: str, command: list[str], log: Path, folder: Path) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": path}
        if folder != ROOT:
            del environment["PYTHONPATH"]  # the suite is another Python
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, which the terminal's Ctrl-C leaves alone
            )
        self._processes.append((name, process))
        return process

    def _read_log(self) -> None:
        if not self.suite_log.exists():
            return
        with self.suite_log.open("rb") as stream:
            stream.seek(self._read)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        if asked := ASKED.search(whole):
            self.asked = int(asked[1])
        cases = RUNNING.findall(whole)
        self.begun += len(cases)
        if cases:
            self.current = f"case {cases[-1].decode()}"


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, and whatever it started."""
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # nobody is left in it
        process.wait(PATIENCE)


def tail(log: Path, lines: int = 20) -> str:
    """Return the end of a log, for people; the suite writes very long lines."""
    text = [line[:300] for line in log.read_text(errors="replace").splitlines()[-lines:]] if log.exists() else []
    return "\n".join([f"---- end of {log.name} ----", *(text or ["(empty)"]), "----"])
