"""``python -m benchmarks``: options, and the run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .cases import DEFAULT_CASES, Case
from .child import Child, ChildFailed
from .report import Measured, Report
from .subjects import SUBJECTS, Subject

_START_TIMEOUT = 30.0
_ANSWER_TIMEOUT = 30.0
_OUT = Path("build") / "bench.json"


def main() -> int:
    """Measure, print, write; return the exit status: 0 also when a goal was missed, 1 when something does not work."""
    options = _options()
    subjects = []
    for name in options.subjects:
        missing = SUBJECTS[name].missing
        if missing:
            print(f"{name} is left out: not installed: {', '.join(missing)}")
        else:
            subjects.append(SUBJECTS[name])
    subject_core, load_core = _cores(options.placement == "together")
    if subject_core is None:
        print("processes cannot be pinned to cores here: expect more noise")
    elif subject_core == load_core:
        print("the load generator runs on the subject's core")
    facts = {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": sys.version,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "subject_core": subject_core,
        "load_core": load_core,
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "versions": {package: version(package) for subject in subjects for package in subject.packages},
        "seconds": options.seconds,
    }
    try:
        report = Report(_measure(subjects, options, subject_core, load_core))
    except ChildFailed as failure:
        print(f"\nthe benchmark has failed: {failure}", file=sys.stderr)
        return 1
    cases = [case.name for case in options.cases]
    print(report.table(cases))
    report.write(options.output, cases, facts)
    print(f"\nMedians over the rounds, quartiles in brackets; all figures are in {options.output}")
    missed = report.missed(cases)
    if missed:
        print("goal missed: " + ", ".join(missed))
    return 0


def _measure(
    subjects: Sequence[Subject], options: argparse.Namespace, subject_core: int | None, load_core: int | None
) -> list[Measured]:
    """Run all rounds.

    :raises ChildFailed: a subject does not start, or does not echo what it is sent.
    """
    measured = []
    give_up_at = time.monotonic() + options.at_most
    with ExitStack() as stack:
        load = Child("the load generator", "load", core=load_core)
        stack.callback(load.end)
        running: list[tuple[Subject, Child, int]] = []
        for subject in subjects:
            child = Child(subject.name, "subject", subject.name, core=subject_core)
            stack.callback(child.end)
            running.append((subject, child, child.hear(_START_TIMEOUT)["port"]))
        for number in range(1, options.rounds + 1):
            if time.monotonic() > give_up_at:
                _progress(f"stopped after {number - 1} of {options.rounds} rounds: it took {options.at_most:.0f} s", last=True)
                break
            _progress(f"round {number} of {options.rounds}", last=number == options.rounds)
            for case in options.cases:
                for subject, child, port in running:
                    try:
                        measured.append(_measure_once(subject, child, port, load, case, number, options.seconds))
                    except ChildFailed as failure:
                        raise ChildFailed(f"{subject.name} at {case.name}: {failure}") from None
    return measured


def _measure_once(subject: Subject, child: Child, port: int, load: Child, case: Case, number: int, seconds: float) -> Measured:
    """Connect, warm up, measure, hang up.  The subject is asked for its CPU time while it has nothing to do."""
    load.ask(_ANSWER_TIMEOUT, open=port, case=case.name, websocket=subject.speaks_websocket)
    before = child.ask(_ANSWER_TIMEOUT)["cpu"]
    done = load.ask(_ANSWER_TIMEOUT + seconds, run=seconds)
    after = child.ask(_ANSWER_TIMEOUT)["cpu"]
    load.ask(_ANSWER_TIMEOUT, close=True)
    return Measured(subject.name, case.name, number, done["messages"], done["seconds"], after - before)


def _cores(together: bool) -> tuple[int | None, int | None]:
    """Return a core for the subjects, which take turns, and one for the load generator; ``None`` if that cannot be.

    :param together: whether it shall be the same one.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1], cores[-1] if together else cores[0]


def _progress(text: str, last: bool) -> None:
    """Show where the run is: in one line on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text}   ", end="\n" if last else "", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the CPU that each server takes for an echoed message, in alternating rounds.",
        epilog=f"subjects: {', '.join(SUBJECTS)}",
    )
    parser.add_argument(
        "--rounds", type=_positive(int), default=15, help="how often each subject has its turn (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=_positive(float), default=0.2, help="how long one turn of one case takes (default: %(default)s)"
    )
    parser.add_argument(
        "--at-most", type=_positive(float), default=100, metavar="SECONDS",
        help="begin no round after this time (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--placement", choices=("apart", "together"), default="apart",
        help="where the load generator runs: on another core than the subject, or on the same one. Apart, waking the other core "
        "is part of each message and charged to the subject, which on a virtual machine can be more than all the rest; together, "
        "that falls away, and messages/s are those of both (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--cases", type=_list_of(Case.parse), default=",".join(DEFAULT_CASES),
        help="CONNECTIONSxBYTES or CONNECTIONSxBYTESxIN_FLIGHT, separated by commas (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--subjects", type=_list_of(_subject), default=",".join(SUBJECTS), help="names separated by commas (default: all)"
    )
    parser.add_argument("--output", type=Path, default=_OUT, help="the JSON file to write (default: %(default)s)")
    return parser.parse_args()


def _positive(kind: type) -> Any:
    def parse(text: str) -> Any:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return parse


def _list_of(parse_one: Any) -> Any:
    def parse(text: str) -> list[Any]:
        try:
            return list(dict.fromkeys(parse_one(part.strip()) for part in text.split(",")))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def _subject(name: str) -> str:
    if name not in SUBJECTS:
        raise ValueError(f"{name!r} is no subject; choose of {', '.join(SUBJECTS)}")
    return name


if __name__ == "__main__":
    sys.exit(main())
