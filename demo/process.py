"""A web server as a process of its own: on a free loopback port, with a log, and ended with everything it started."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# Two processes may be given the same free port; the one that comes too late says this.
IN_USE = ("address already in use", "errno 98", "is in use by another program", "connection in use")
ATTEMPTS = 3

TERM_PATIENCE = 3.0  # seconds for a server to end by itself once it is told to
KILL_PATIENCE = 10.0


class NotStarted(Exception):
    """The server did not start; the message says why and shows the end of its log."""


class ServerProcess:
    """One server process, to be used as a context manager.

    :param name: for messages.
    :param command: given the port, returns the arguments that Python is started with.
    :param log: where its output goes.
    :param environment: in addition to this process's.
    :param tls: how to reach it when it speaks TLS.
    :param patience: seconds within which it has to answer an HTTP request.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[int], Sequence[str]],
        log: Path,
        environment: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        patience: float = 20.0,
    ) -> None:
        self.name = name
        self.log = log
        self.tls = tls
        self.port = 0
        self._command = command
        self._environment = environment or {}
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()

    def url(self, path: str) -> str:
        """WebSocket URL of a path on this server."""
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}{path}"

    def http(self, timeout: float = 5.0) -> http.client.HTTPConnection:
        """An HTTP connection to this server, which connects with its first request."""
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; return once it answers HTTP.

        :raises NotStarted: it ended, or does not answer in time.
        """
        for attempt in range(1, ATTEMPTS + 1):
            self.port = free_port()
            self._spawn()
            try:
                self._await_answer()
                return
            except NotStarted:
                self.stop()
                taken = any(words in self.read_log().lower() for words in IN_USE)
                if attempt == ATTEMPTS or not taken:
                    raise
            except BaseException:
                self.stop()
                raise

    def _spawn(self) -> None:
        path = os.pathsep.join(filter(None, [self._environment.get("PYTHONPATH"), str(ROOT), os.environ.get("PYTHONPATH")]))
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *self._command(self.port)],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, which ends with it, and which the terminal's Ctrl-C leaves alone
            )

    def _await_answer(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._patience
        while True:
            if (status := self._process.poll()) is not None:
                raise NotStarted(f"{self.name} ended with status {status} instead of starting\n{self.log_tail()}")
            connection = self.http(timeout=2.0)
            try:
                connection.request("GET", "/", headers={"Connection": "close"})
                connection.getresponse().read()
                return
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    raise NotStarted(
                        f"{self.name} gave no answer on port {self.port} within {self._patience:g} s ({error})\n{self.log_tail()}"
                    ) from None
            finally:
                connection.close()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and whatever it started."""
        process = self._process
        if process is None:
            return
        self._process = None
        try:
            process.terminate()  # not its group: a master ends its workers in good order
            process.wait(TERM_PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass  # nobody is left in it
            process.wait(KILL_PATIENCE)

    def read_log(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines: int = 20) -> str:
        """The end of its log, with a heading, for people."""
        tail = self.read_log().splitlines()[-lines:]
        return "\n".join([f"---- end of the log of {self.name} ----", *(tail or ["(empty)"]), "----"])


def free_port() -> int:
    """A loopback port on which nobody listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
