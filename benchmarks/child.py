"""A subject, a client or the load generator, seen from the run: a process that answers in lines of JSON."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import process

__all__ = ["Child", "ChildFailed"]

_ROOT = Path(__file__).resolve().parent.parent
_END_TIMEOUT = 5.0
_SHOWN = 3000  # characters of a failed process's last words


class ChildFailed(Exception):
    """A process ended, or did not answer in time; the message holds its last words."""


class Child:
    """A process of the benchmark, pinned to one core, and in a process group of its own.

    :param name: for error messages.
    :param module: of this package, to be run.
    :param arguments: for it.
    :param core: the core to pin it to, ``None`` for none.
    """

    def __init__(self, name: str, module: str, *arguments: str, core: int | None = None) -> None:
        self._name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._buffer = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=_ROOT,
            bufsize=0,
            start_new_session=True,
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        self._pids = [self._process.pid]

    def ask(self, timeout: float, **question: Any) -> dict[str, Any]:
        """Send a question and return the answer.

        :param timeout: seconds to wait for it.
        :raises ChildFailed: there was none.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
        except OSError:
            pass  # it has ended; reading says so
        return self.hear(timeout)

    def hear(self, timeout: float) -> dict[str, Any]:
        """Return the next line that it says.

        :param timeout: seconds to wait for it.
        :raises ChildFailed: there was none.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise ChildFailed(f"{self._name} did not answer within {timeout:.0f} s{self._last_words()}")
            data = self._process.stdout.read(65536)
            if not data:
                self._process.wait(_END_TIMEOUT)
                raise ChildFailed(f"{self._name} ended with status {self._process.returncode}{self._last_words()}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ChildFailed(f"{self._name}: {answer['error']}{self._last_words()}")
        self._pids = process.family(self._process.pid)
        return answer

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it and its workers have used."""
        return process.cpu(self._pids)

    @property
    def memory(self) -> int:
        """Bytes of memory that belong to it and its workers alone."""
        return process.memory(self._pids)

    @property
    def threads(self) -> int:
        """How many native threads it and its workers have."""
        return process.threads(self._pids)

    def end(self) -> None:
        """End the process and its workers."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended by itself
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _last_words(self) -> str:
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip()[-_SHOWN:]
        return f"; it wrote:\n{words}" if words else ""
