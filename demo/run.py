"""Visits every server of the demo in turn, says what happens, and prints the table."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from .measure import Differs, Measured, check_echoes, measure
from .process import NotStarted, ServerProcess
from .servers import SERVERS, WebServer


class Failed(Exception):
    """A server did not do what it should; the message says what, with the end of its log."""


def run(seconds: float) -> int:
    """Visit all of them, measuring each for some seconds; return the exit status."""
    say(f"The echo examples, under {len(SERVERS)} web servers")
    rows: list[tuple[WebServer, Measured]] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        for number, server in enumerate(SERVERS, 1):
            say(f"  [{number}/{len(SERVERS)}] {server.name}: ", end="")
            try:
                rows.append((server, visit(server, Path(folder), seconds)))
            except Failed as failed:
                say(", FAILED")
                failures.append(f"{server.name}: {failed}")
    if rows:
        print_table(rows)
    for failure in failures:
        say(f"\nFAILED {failure}")
    return 1 if failures else 0


def visit(server: WebServer, folder: Path, seconds: float) -> Measured:
    """Start one server, check and measure it, and stop it.

    :raises Failed: it did not start, or something came back differently.
    """
    started = time.monotonic()
    log = folder / f"{server.name.replace(' ', '-')}.log"
    # gunicorn keeps its control socket there; several of them must not share one.
    process = ServerProcess(server.name, server.command, log, {"XDG_RUNTIME_DIR": str(folder)})
    try:
        say("starting", end="")
        with process:
            url = process.url("/echo")
            say(f" took {time.monotonic() - started:.1f} s", end="")
            for name in check_echoes(url):
                say(f", {name}", end="")
            say(", measuring", end="")
            measured = measure(url, seconds)
            say(", ok")
            return measured
    except NotStarted as error:
        raise Failed(str(error)) from None
    except (Differs, RuntimeError, OSError) as error:  # RuntimeError: the handshake was refused, for example
        raise Failed(f"{error}\n{process.log_tail()}") from None


def print_table(rows: list[tuple[WebServer, Measured]]) -> None:
    say("\n64-byte messages, one connection, one message at a time:\n")
    say(f"{'server':<18} {'backend':<10} {'round trips/s':>13} {'p50':>9} {'p99':>9}")
    say("-" * 63)
    for server, measured in rows:
        numbers = f"{measured.per_second:>13,.0f} {measured.p50:>6,.0f} µs {measured.p99:>6,.0f} µs"
        say(f"{server.name:<18} {server.backend:<10} {numbers}")


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)
