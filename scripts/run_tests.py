"""Run the test suites, each in its own process, on every interpreter they are meant for, and sum up.

    python scripts/run_tests.py [--quick] [--only NAME] [-k EXPR] [--repeat N] [--jobs N] [--coverage | --no-coverage]

Started by `make test` with the Python of .venv. The last line reads "412 passed, 0 failed"; the exit status is 0 only
if nothing failed and something ran. Output of each suite: build/tests/. A run of all suites also measures branch coverage, of
the suites on this interpreter: build/tests/coverage/html.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import debian_packages
from branch_coverage import Measuring
from interpreters import Interpreter, others, this_one
from progress import say
from setup_venv import ROOT, SetupFailed, ensure, python_of
from suite_run import Suite, SuiteRun

RESULTS = ROOT / "build" / "tests"
# The suites mostly wait: for a keepalive, a grace period, a peer that takes its time.
JOBS = 2 * max(1, os.cpu_count() or 1)
HEARTBEAT = 5.0

# The long ones first, so that the two that run side by side end together.
SUITES = [
    Suite("servers", "tests/servers", limit=900),
    Suite("threading", "tests/threading", limit=900, everywhere=True),
    Suite("gevent", "tests/gevent", limit=900),
    Suite("gevent-patched", "tests/gevent", limit=900, patched="gevent"),
    Suite("eventlet", "tests/eventlet", limit=900),
    Suite("eventlet-patched", "tests/eventlet", limit=900, patched="eventlet"),
    Suite("dropin", "tests/dropin", limit=900),
    Suite("attacks", "tests/attacks", limit=900),
    Suite("asyncio", "tests/asyncio", limit=900),
    Suite("asgi", "tests/asgi", limit=300),
    Suite("proxies", "tests/proxies", limit=600),
    Suite("simulation", "tests/simulation", limit=900),
    Suite("protocol", "tests/protocol", limit=600, everywhere=True),
    Suite("protocol-pure", "tests/protocol", limit=600, pure=True),
    Suite("examples", "tests/examples", limit=300),
    Suite("architecture", "tests/architecture", limit=120),
    Suite("packaging", "tests/packaging", limit=300, everywhere=True),
    Suite("tools", "tests/tools", limit=300),
]


def main() -> int:
    options = parse()
    chosen = [suite for suite in SUITES if not options.only or suite.name in options.only]
    if options.limit:
        chosen = [replace(suite, limit=options.limit) for suite in chosen]
    here = this_one()
    say(f"==> tests on Python {here.label}")
    if any(suite.name == "proxies" for suite in chosen):
        fetch_proxies()
    pythons = [(here.label, sys.executable)]
    trouble: list[tuple[str, str]] = []
    left_out: list[str] = []
    if not options.quick and any(suite.everywhere for suite in chosen):
        found = others(here)
        say("==> other interpreters: " + (", ".join(f"{i.label} ({i.executable})" for i in found) or "none found"))
        left_out = [f"{i.label} comes without venv or pip ({i.executable})" for i in found if not i.complete]
        more, trouble = prepare([interpreter for interpreter in found if interpreter.complete])
        pythons += more
    measuring = None
    for number in range(1, options.repeat + 1):
        if options.repeat > 1:
            say(f"==> round {number} of {options.repeat}")
        if options.coverage:
            measuring = Measuring(RESULTS / "coverage")
        runs = plan(chosen, pythons, options.select, measuring)
        try:
            work_through(runs, options.jobs)
        except KeyboardInterrupt:
            say("interrupted")
            return 130
        if any(run.failed for run in runs):
            break
    return report(runs, trouble, left_out, measuring)


def parse() -> argparse.Namespace:
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(description="Run the test suites.", allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="this interpreter only")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("-k", dest="select", default="", metavar="EXPR", help="pytest's -k, for every suite")
    parser.add_argument("--repeat", type=positive, default=1, metavar="N", help="N rounds, up to the first failure")
    parser.add_argument("--jobs", type=positive, default=JOBS, metavar="N", help=f"suites at a time ({JOBS})")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="time limit of a suite instead of its own")
    parser.add_argument("--coverage", action=argparse.BooleanOptionalAction, help="measure it (default: when all suites run)")
    options = parser.parse_args()
    if options.coverage is None:
        options.coverage = not options.only and not options.select
    return options


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def fetch_proxies() -> None:
    """The web servers that are no Python packages. Without them their suite fails, and says what to do."""
    try:
        debian_packages.ensure(Path(sys.prefix), ["nginx", "haproxy"])
    except debian_packages.NotAvailable as error:
        say(f"!!! {error}")


def prepare(found: list[Interpreter]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """A venv for each of the other interpreters: (label, python) of the ready ones, (label, why) of the failures."""
    ready, trouble = [], []
    for interpreter in found:
        venv = ROOT / f".venv-{interpreter.label}"
        try:
            ensure(venv, "matrix", interpreter.executable)
        except SetupFailed as error:
            say(str(error))
            trouble.append((interpreter.label, str(error).splitlines()[0]))
        else:
            ready.append((interpreter.label, str(python_of(venv))))
    return ready, trouble


def plan(
    suites: list[Suite], pythons: list[tuple[str, str]], select: str, measuring: Measuring | None = None
) -> list[SuiteRun]:
    """This interpreter's runs first, then the others'."""
    return [
        SuiteRun(suite, label, python, RESULTS, select, measuring.environment(suite.name) if measuring and not number else {})
        for number, (label, python) in enumerate(pythons)
        for suite in suites
        if number == 0 or suite.everywhere
    ]


def work_through(runs: list[SuiteRun], jobs: int) -> None:
    waiting, running = list(runs), list[SuiteRun]()
    started = last_line = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                if not (ROOT / run.suite.folder).is_dir():
                    run.problems.append(f"there is no {run.suite.folder}")
                    say(f"    FAILED  {run.title}: {run.problems[0]}")
                    continue
                run.start()
                running.append(run)
                say(f"    start   {run.title}")
                last_line = time.monotonic()
            for run in list(running):
                if run.follow():
                    running.remove(run)
                    announce(run)
                    last_line = time.monotonic()
            if running and time.monotonic() - last_line > HEARTBEAT:
                last_line = time.monotonic()
                states = "; ".join(f"{r.title} {r.ended}/{r.total or '?'} {short(r.current)}" for r in running)
                say(f"    {last_line - started:4.0f} s  {states}")
            time.sleep(0.1)
    finally:
        for run in running:
            run.stop()


def announce(run: SuiteRun) -> None:
    verdict = "FAILED" if run.failed else "ok    "
    say(f"    {verdict}  {run.title}: {run.count('passed')} passed, {run.failed} failed, {run.seconds:.1f} s")
    if run.failed:
        say(f"---- output of {run.title} ({run.log.relative_to(ROOT)}) ----")
        say(run.log.read_text(errors="replace").rstrip())
        for problem in run.problems:
            say(f"!!!! {run.title}: {problem}")
        say(f"---- end of {run.title} ----")


def short(test: str) -> str:
    return test.rpartition("::")[2][:60]


def report(
    runs: list[SuiteRun], trouble: list[tuple[str, str]], left_out: list[str], measuring: Measuring | None = None
) -> int:
    runs_of = sorted(runs, key=lambda run: [suite.name for suite in SUITES].index(run.suite.name))
    say("")
    say(f"{'suite':<18} {'python':<7} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for run in runs_of:
        numbers = f"{run.count('passed'):>7} {run.failed:>7} {run.count('skipped'):>8} {run.seconds:>8.1f}"
        say(f"{run.suite.name:<18} {run.label:<7} {numbers}")
    for label, _ in trouble:
        say(f"{'(no venv)':<18} {label:<7} {0:>7} {1:>7} {0:>8} {0:>8.1f}")
    for interpreter in left_out:
        say(f"\nNot tested: Python {interpreter}")
    skips = [(run, test, reason) for run in runs_of for test, reason in run.skips]
    if skips:
        say("\nSkipped, so not tested; is each of these meant to be?")
        for run, test, reason in skips:
            say(f"  {run.title}: {test}: {reason}")
    if measuring:
        # Goals, printed with what is missing; a branch that no test takes is to be found there and does not hide a failed test.
        lines, uncovered = measuring.report()
        say("")
        for line in [*lines, *(f"Below its goal: {what}" for what in uncovered)]:
            say(line)
    if trouble or any(run.failed for run in runs):
        say("\nFailed:")
    for label, why in trouble:
        say(f"  {label}: {why}")
    for run in runs_of:
        for test in [test for test, outcome in run.outcomes.items() if outcome == "failed"] + run.problems:
            say(f"  {run.title}: {test}")
    passed = sum(run.count("passed") for run in runs)
    failed = sum(run.failed for run in runs) + len(trouble)
    if not passed and not failed:
        say("\nNo test ran.")
    say(f"\n{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
