"""Runs the soak: `python -m soak [--seconds 600] [--cycles 5000] ...`; ``make soak`` does, with all of it.

Each part is a process of its own.  The last line says how many parts had troubles; the exit status is 0 only when none had.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from demo.process import ROOT

BACKENDS = ("threading", "gevent", "eventlet", "asyncio")
SERVERS = {"threading": "werkzeug", "gevent": "pywsgi", "eventlet": "eventlet", "asyncio": "aiohttp"}
PARTS = ("cycles", "tls", "traffic", "attacks")
#: A part may take this many times its usual time before it is called stuck.
STUCK = 3.0


def main() -> int:
    options = parse()
    found: list[tuple[str, dict[str, Any]]] = []
    for part in options.parts:
        for backend in options.backends:
            found += run(part, backend, options)
    print()
    for name, finding in found:
        figures = ", ".join(f"{key} {value}" for key, value in finding["figures"].items())
        print(f"{'TROUBLE' if finding['troubles'] else 'ok     '} {name} {finding['part']}: {figures}")
        for trouble in finding["troubles"]:
            print(f"            {trouble}")
    bad = sum(bool(finding["troubles"]) for _, finding in found)
    print(f"\n{len(found)} parts, {bad} with troubles")
    return 1 if bad or not found else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak", description="Soak tests.", allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=600, help="of mixed traffic, shared by the backends (600)")
    parser.add_argument("--cycles", type=int, default=5000, help="connections for each backend (5000)")
    parser.add_argument("--tls-seconds", type=float, default=60, help="of TLS flat out for each backend (60)")
    parser.add_argument("--attack-seconds", type=float, default=4, help="of each attack on each server (4)")
    parser.add_argument("--backends", type=names_of(BACKENDS), default=BACKENDS, help=f"some of {','.join(BACKENDS)}")
    parser.add_argument("--parts", type=names_of(PARTS), default=PARTS, help=f"some of {','.join(PARTS)}")
    return parser.parse_args()


def names_of(known: tuple[str, ...]) -> Any:
    def names(text: str) -> list[str]:
        given = text.split(",")
        unknown = [name for name in given if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: unknown; there are {', '.join(known)}")
        return given

    return names


def run(part: str, backend: str, options: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    """Run one part on one backend, showing what it says; return what it found."""
    module = "soak.aio" if backend == "asyncio" else "soak.sync"
    amount = {"cycles": options.cycles, "tls": options.tls_seconds, "traffic": options.seconds / len(options.backends)}.get(part)
    if part == "attacks":
        command = ["soak.attacks", SERVERS[backend], str(options.attack_seconds)]
        limit = 60 + STUCK * 25 * (options.attack_seconds + 5)
    else:
        command = [module, backend, part, str(amount)]
        limit = 120 + STUCK * (options.cycles / 50 if part == "cycles" else float(amount or 0))
    print(f"==> {part} on {backend}", flush=True)
    found = []
    deadline = time.monotonic() + limit
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        watchdog = subprocess.Popen([sys.executable, "-c", _WATCHDOG, str(process.pid), str(limit)])
        try:
            for line in process.stdout:
                if line.startswith("FOUND "):
                    found.append((backend, json.loads(line[6:])))
                else:
                    print(line, end="", flush=True)
            status = process.wait()
        finally:
            watchdog.terminate()
            watchdog.wait()
    if status or not found:
        why = f"stuck for {limit:.0f} s" if time.monotonic() >= deadline else f"it ended with status {status}"
        found.append((backend, {"part": part, "figures": {}, "troubles": [why]}))
    return found


# Ends a part that is stuck: its output, for which we wait, then ends.
_WATCHDOG = "import os, sys, time; time.sleep(float(sys.argv[2])); os.kill(int(sys.argv[1]), 9)"


if __name__ == "__main__":
    sys.exit(main())
