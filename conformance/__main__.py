"""`python -m conformance`: options, the runs, and what came out.

    python -m conformance [--only MODE ...] [--cases PATTERN ...] [--quick] [--jobs N] [--limit SECONDS]

Exit status: 0 if every case of every mode was run and none deviates, 1 if one does, 2 if something is missing that is needed to
run it at all.  Cases that fail, that are answered less strictly than the standard asks for, that are not implemented, that end
with an unclean close, and cases that were not run: each of them is a deviation.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
import time
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from .modes import MODES, Mode, missing_packages
from .report import Outcome, table, write_docs
from .runs import ModeRun, tail
from .suite import ROOT, NotFound, Suite, find_suite, say

RESULTS = ROOT / "build" / "conformance"
DOCS = ROOT / "docs"
DATA = "conformance.json"
FRAGMENT = "conformance-table.inc"

# The cases that take minutes: large messages, and a thousand compressed ones each.
LONG = ["9.*", "12.*", "13.*"]

LIMIT = 3600.0
HEARTBEAT = 10.0


def main() -> int:
    """Run the suite as the options say; return the exit status."""
    options = parse()
    modes = [mode for mode in MODES if not options.only or mode.name in options.only]
    missing = missing_packages(modes)
    if missing:
        say(f"This needs {', '.join(missing)}, which this Python ({sys.executable}) does not have.")
        say('`make conformance` installs all it needs into .venv; or: pip install -e ".[conformance]"')
        return 2
    try:
        suite = find_suite()
    except NotFound as error:
        say(str(error))
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)  # whoever stops it gets its processes stopped too
    without = LONG if options.quick else []
    runs = [ModeRun(mode, suite, RESULTS, options.cases or ["*"], without, options.limit) for mode in modes]
    try:
        outcomes = work_through(runs, options.jobs, suite, every_case=not options.quick and not options.cases)
    except KeyboardInterrupt:
        say("interrupted; everything that was started has been ended")
        return 130
    return conclude(modes, outcomes, suite)


def parse() -> argparse.Namespace:
    names = [mode.name for mode in MODES]
    parser = argparse.ArgumentParser(
        prog="python -m conformance", description="Run the Autobahn test suite against the library.", allow_abbrev=False
    )
    parser.add_argument(
        "--only", action="extend", nargs="+", choices=names, metavar="MODE", help=f"of {', '.join(names)} (default: all)"
    )
    parser.add_argument(
        "--cases", action="extend", nargs="+", metavar="PATTERN", help="for example 6.* or 13.2.17 (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help=f"leave out the long ones, {', '.join(LONG)}")
    parser.add_argument("--jobs", type=int, default=2, choices=range(1, 9), metavar="N", help="modes at a time (%(default)s)")
    parser.add_argument(
        "--limit", type=float, default=LIMIT, metavar="SECONDS", help="end a mode that takes longer (%(default)s)"
    )
    return parser.parse_args()


def stop(number: int, frame: object) -> None:
    sys.exit(128 + number)


def work_through(runs: list[ModeRun], jobs: int, suite: Suite, every_case: bool) -> dict[str, Outcome]:
    """Run all of them, so many at a time, saying where they are; return the outcomes by the modes' names.

    When it is a run of all cases, each mode's row in the docs is refreshed as soon as the mode is done: the whole can take
    hours.
    """
    waiting, running = list(runs), list[ModeRun]()
    outcomes: dict[str, Outcome] = {}
    last_line = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                running.append(run)
                say(f"    start   {run.mode.title}")
                run.start()
            for run in list(running):
                if run.follow():
                    run.stop()
                    running.remove(run)
                    outcomes[run.mode.name] = announce(run)
                    if every_case:
                        write_docs(DOCS / DATA, DOCS / FRAGMENT, facts(suite), run.mode.name, outcomes[run.mode.name])
                    last_line = time.monotonic()
            if running and time.monotonic() - last_line > HEARTBEAT:
                last_line = time.monotonic()
                say("    " + "; ".join(run.state for run in running))
            time.sleep(0.1)
    finally:
        for run in running:
            run.stop()
    return outcomes


def announce(run: ModeRun) -> Outcome:
    outcome = run.outcome()
    counts = outcome.counts
    verdict = "ok    " if outcome.good else "FAILED"
    say(f"    {verdict}  {run.mode.title}: {counts.ran} of {counts.asked} cases, {outcome.seconds:.0f} s")
    for line in outcome.deviations:
        say(f"            {line}")
    for problem in outcome.problems:
        say(f"    !!!! {run.mode.title}: {problem}")
        for log in (run.suite_log, run.library_log):
            say(tail(log))
    return outcome


def conclude(modes: list[Mode], outcomes: dict[str, Outcome], suite: Suite) -> int:
    """Print the table, and return the exit status."""
    in_order = [outcomes[mode.name] for mode in modes]
    say("")
    say(table(in_order))
    ran = sum(outcome.counts.ran for outcome in in_order)
    say(f"\n{ran} cases were run, in {len(modes)} modes, with {suite.label}.")
    say(f"The reports of the suite: {RESULTS.relative_to(ROOT)}/MODE/report/index.html")
    bad = [outcome.title for outcome in in_order if not outcome.good]
    say(f"FAILED: {', '.join(bad)}" if bad else "No case deviates.")
    return 1 if bad else 0


def facts(suite: Suite) -> dict[str, str]:
    """With what it is run, for the docs."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "suite": suite.label,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "library": f"simple-websocket {library_version()}",
    }


def library_version() -> str:
    try:
        return version("simple-websocket")
    except PackageNotFoundError:
        import simple_websocket

        return simple_websocket.__version__


if __name__ == "__main__":
    sys.exit(main())
