"""``python -m benchmarks``: options, and the run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .bench import Bench, Plan
from .cases import FULL_CASES, GROWTH_CASES, SHORT_CASES, Case
from .report import goals_table, progress_table, table, write
from .subjects import SUBJECTS, add_versions, installed

_OUT = Path("build") / "bench"
_EXPERIMENTS = ("echo", "growth", "idle", "accept", "broadcast", "scale", "clients")
_SHORT = ("echo", "idle", "broadcast", "clients")
_SCALE = {"threads": 2000, "gevent": 10_000, "asyncio": 10_000}


def main() -> int:
    """Measure, print, write; return the exit status: 0 also when a goal was missed, 1 when something does not work."""
    if not sys.platform.startswith("linux"):
        print("the benchmarks need Linux: what a process costs is read from /proc, and processes are pinned to cores")
        return 1
    options = _options()
    plan = _plan(options)
    bench = Bench(plan, _say, options.placement == "together")
    if bench.subject_core == bench.load_core:
        print("the load generator runs on the subject's core")
    started = time.monotonic()
    facts = _facts(options, bench)
    try:
        bench.run()
    except KeyboardInterrupt:
        bench.figures.failures.append("interrupted: this is what had been measured until then")
    _say(f"measured for {time.monotonic() - started:.0f} s", last=True)
    print(table(bench.figures))
    print(goals_table(bench.figures))
    if options.against is not None:
        print(progress_table(bench.figures))
    path = options.output / ("full.json" if options.full else "short.json")
    write(path, bench.figures, facts)
    print(f"\nMedians over the rounds, quartiles in brackets; all figures are in {path}")
    if options.plots:
        from .plots import draw

        for drawn in draw(bench.figures, options.output):
            print(f"drawn: {drawn}")
    for failure in bench.figures.failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if bench.figures.failures else 0


def _plan(options: argparse.Namespace) -> Plan:
    if options.against is not None:
        if not (options.against / "simple_websocket").is_dir():
            raise SystemExit(f"{options.against} has no folder simple_websocket")
        add_versions(str(options.against.resolve()))
    subjects = []
    for name in _with_versions(options.subjects):
        missing = SUBJECTS[name].missing
        if missing:
            print(f"{name} is left out: not installed: {', '.join(missing)}")
        else:
            subjects.append(SUBJECTS[name])
    full, wanted = options.full, options.only or (_EXPERIMENTS if options.full else _SHORT)
    clients = ("1x64", "1x65536", "1x1048576-binary") if full else ("1x64", "1x65536")
    choices: dict[str, dict[str, Any]] = {
        "echo": {"echo": tuple(options.cases or (FULL_CASES if full else SHORT_CASES))},
        "growth": {"growth": GROWTH_CASES},
        "idle": {"idle": 1000 if full else 300},
        "accept": {"accepts": 512},
        "broadcast": {"broadcast": 1000},
        "scale": {"scale": _SCALE, "hold": options.hold},
        "clients": {"clients": tuple(Case.parse(name) for name in clients)},
    }
    chosen = {name: value for experiment in wanted for name, value in choices[experiment].items()}
    return Plan(options.rounds, options.seconds, tuple(subjects), helper=not options.without_helper, **chosen)


def _with_versions(names: list[str]) -> list[str]:
    """Have another version of a subject take its turn behind it."""
    return [one for name in names for one in (name, f"{name}@before") if one in SUBJECTS]


def _facts(options: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    packages = {package for name in options.subjects for package in SUBJECTS[name].packages}
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": sys.version,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "subject_core": bench.subject_core,
        "load_core": bench.load_core,
        "load_average": os.getloadavg(),
        "versions": {package: installed(package) for package in sorted(packages)},
        "rounds": options.rounds,
        "seconds": options.seconds,
    }


def _say(text: str, last: bool = False) -> None:
    """Show where the run is: in one line on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what servers and clients cost, in alternating rounds: ours, the bare socket, other libraries.",
        epilog=f"subjects: {', '.join(SUBJECTS)}; experiments: {', '.join(_EXPERIMENTS)}",
    )
    parser.add_argument("--full", action="store_true", help="every case and experiment, half an hour or so")
    parser.add_argument("--only", type=_list_of(_experiment), help="experiments separated by commas (default: all, or a few)")
    parser.add_argument("--rounds", type=_positive(int), help="how often each subject has its turn (default: 5, full: 7)")
    parser.add_argument("--seconds", type=_positive(float), help="how long one turn takes (default: 0.1, full: 0.2)")
    parser.add_argument("--hold", type=_positive(float), default=50, help="seconds to hold many connections (default: 50)")
    parser.add_argument(
        "--placement", choices=("apart", "together"), default="apart",
        help="where the load generator runs: on another core than the subject, or on the same one. Apart, waking the other core "
        "is part of each message and charged to the subject, which on a virtual machine can be more than all the rest; together, "
        "that falls away, and messages/s are those of both (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--cases", type=_list_of(Case.parse),
        help="of echoes: CONNECTIONSxBYTES or CONNECTIONSxBYTESxIN_FLIGHT, then -binary, -tls or -deflate; separated by commas",
    )  # fmt: skip
    parser.add_argument(
        "--subjects", type=_list_of(_subject), default=",".join(SUBJECTS), help="names separated by commas (default: all)"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="FOLDER",
        help="measure another version of this library too, whose simple_websocket is there",
    )
    parser.add_argument("--without-helper", action="store_true", help="broadcast with a loop of send even where we have a helper")
    parser.add_argument("--plots", action="store_true", help="draw plots (SVG) beside the JSON file; needs matplotlib")
    parser.add_argument("--output", type=Path, default=_OUT, help="the folder for the results (default: %(default)s)")
    options = parser.parse_args()
    options.rounds = options.rounds or (7 if options.full else 5)
    options.seconds = options.seconds or (0.2 if options.full else 0.1)
    return options


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
    return _one_of(SUBJECTS, name, "subject")


def _experiment(name: str) -> str:
    return _one_of(_EXPERIMENTS, name, "experiment")


def _one_of(choices: Any, name: str, what: str) -> str:
    if name not in choices:
        raise ValueError(f"{name!r} is no {what}; choose of {', '.join(choices)}")
    return name


if __name__ == "__main__":
    sys.exit(main())
