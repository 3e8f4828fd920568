"""Run the fuzz targets, each for a bounded time, and say how many inputs each has tried.

    python -m fuzzing [--seconds N] [--only TARGET] [--engine atheris|mutation] [--jobs N]
    python -m fuzzing replay TARGET FILE

What was learned stays in build/fuzz/corpus and is where the next run begins; what breaks something goes to build/fuzz/findings.
The exit status is 0 if nothing was found.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, NamedTuple

from .seeds import seeds
from .targets import TARGETS

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "fuzz"
HEARTBEAT = 10.0
# A worker that has not ended so long after its time has a hang that nobody noticed in it.
GRACE = 60.0
EXECUTIONS = re.compile(rb"(?:stat::number_of_executed_units:|EXECUTIONS)\s+(\d+)")


class Run(NamedTuple):
    target: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    path: Path
    findings: Path
    before: frozenset[Path]
    by: float


def say(line: str) -> None:
    print(line, flush=True)


def start(target: str, engine: str, seconds: int) -> Run:
    corpus, findings = PLACE / "corpus" / target, PLACE / "findings" / target
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for data in seeds(target):
        (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)
    path = PLACE / f"{target}.log"
    log = path.open("w+b")
    process = subprocess.Popen(
        [sys.executable, "-m", "fuzzing.worker", target, engine, str(seconds), str(corpus), str(findings)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    return Run(target, process, log, path, findings, frozenset(findings.iterdir()), time.monotonic() + seconds + GRACE)


def finish(run: Run) -> bool:
    """Say what came of a run that is over; return whether it is good."""
    run.log.seek(0)
    output = run.log.read()
    run.log.close()
    counts = EXECUTIONS.findall(output)
    new = sorted(set(run.findings.iterdir()) - run.before)
    if run.process.returncode == 0 and counts and not new:
        say(f"    ok      {run.target}: {int(counts[-1])} executions")
        return True
    say(f"    FAILED  {run.target}: status {run.process.returncode} after {int(counts[-1]) if counts else '?'} executions")
    say(f"---- end of {run.path.relative_to(ROOT)} ----")
    say(b"\n".join(output.splitlines()[-60:]).decode(errors="replace"))
    say("----")
    for path in new:
        say(f"!!!! {path.name}; to play it again: make fuzz ARGS='replay {run.target} {path.relative_to(ROOT)}'")
    return False


def run_all(targets: list[str], engine: str, seconds: int, jobs: int) -> int:
    waiting, running, good = list(targets), list[Run](), True
    last = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(start(waiting.pop(0), engine, seconds))
                say(f"    start   {running[-1].target}, {seconds} s")
            for run in list(running):
                if run.process.poll() is None and time.monotonic() > run.by:
                    say(f"!!!! {run.target} does not end")
                    run.process.kill()
                    run.process.wait()
                if run.process.returncode is not None:
                    running.remove(run)
                    good &= finish(run)
                    last = time.monotonic()
            if time.monotonic() - last > HEARTBEAT:
                last = time.monotonic()
                say("    ...     " + ", ".join(f"{run.target}: {max(0.0, run.by - GRACE - last):.0f} s left" for run in running))
            time.sleep(0.1)
    finally:
        for run in running:
            run.process.kill()
            run.process.wait()
            run.log.close()
    say("nothing found" if good else "found something")
    return 0 if good else 1


def replay(target: str, path: Path) -> int:
    """Try one input, in this process, with the traceback it deserves."""
    data = path.read_bytes()
    say(f"{target}: {len(data)} bytes: {data[:200]!r}")
    say(f"outcome: {TARGETS[target](data)}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzzing", description="Fuzz the protocol core.", allow_abbrev=False)
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("FUZZ_SECONDS") or 60), help="for each target (60)")
    parser.add_argument("--only", action="append", choices=list(TARGETS), metavar="TARGET", help=f"one of {', '.join(TARGETS)}")
    parser.add_argument("--engine", choices=["atheris", "mutation"], help="atheris, where it is installed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="targets at a time")
    more = parser.add_subparsers(dest="command")
    again = more.add_parser("replay", help="try one input again")
    again.add_argument("target", choices=list(TARGETS))
    again.add_argument("file", type=Path)
    options = parser.parse_args()
    if options.command == "replay":
        return replay(options.target, options.file)
    installed = importlib.util.find_spec("atheris") is not None
    engine = options.engine or ("atheris" if installed else "mutation")
    version = ".".join(map(str, sys.version_info[:3]))
    if engine == "mutation":
        say(
            "==> without coverage feedback: random mutation of the seeds" + ("" if installed else ", as atheris is not installed")
        )
    say(f"==> fuzzing with {engine} on Python {version}, {options.seconds} s for each target")
    return run_all(options.only or list(TARGETS), engine, options.seconds, max(1, options.jobs))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
