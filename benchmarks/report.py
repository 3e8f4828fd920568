"""What is shown of the figures: tables, goals with pass or miss, the JSON file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from .figures import Figures, Key, Spread
from .goals import Verdict, verdicts

__all__ = ["goals_table", "progress_table", "table", "write"]

_TITLES = {
    "echo": "Echo",
    "growth": "More and more active connections",
    "idle": "Memory of an idle connection after one echo",
    "accept": "Opening and closing connections",
    "broadcast": "Broadcast of 1 KiB, for each connection",
    "scale": "Idle connections with a ping every 25 s",
    "clients": "Clients",
}
#: metric -> (title, digits, width)
_COLUMNS = {
    "cpu_us": ("CPU, us/message", 2, 8),
    "rate": ("messages/s", 0, 8),
    "kib": ("KiB/connection", 1, 6),
    "ms": ("ms for all", 1, 6),
    "accept_s": ("s to open", 1, 6),
    "idle_percent": ("idle CPU, %", 2, 6),
    "background": ("background", 0, 5),
    "latency_ms": ("echo, ms", 2, 6),
    "latency_99_ms": ("99 %, ms", 2, 6),
}

_PROGRESS = ("cpu_us", "kib", "idle_percent")


def table(figures: Figures) -> str:
    """Return the tables of all experiments."""
    lines: list[str] = []
    for experiment, title in _TITLES.items():
        cases = figures.cases(experiment)
        if cases:
            lines += ["", f"== {title} =="]
        for case in cases:
            lines += _case_table(figures, experiment, case)
    return "\n".join(lines)


def _case_table(figures: Figures, experiment: str, case: str) -> list[str]:
    subjects = figures.subjects(experiment, case)
    metrics = [metric for metric in _COLUMNS if any(figures.spread(Key(experiment, case, one, metric)) for one in subjects)]
    lines = ["", f"{case:<26}" + "".join(f"{_heading(experiment, metric):<{_width(metric)}}" for metric in metrics).rstrip()]
    for subject in subjects:
        cells = (_cell(figures.spread(Key(experiment, case, subject, metric)), metric) for metric in metrics)
        lines.append((f"  {subject:<24}" + "".join(cells)).rstrip())
    return lines


def _heading(experiment: str, metric: str) -> str:
    title = _COLUMNS[metric][0]
    return title.replace("message", "connection") if experiment in ("accept", "broadcast") else title


def _width(metric: str) -> int:
    return 3 * _COLUMNS[metric][2] + 8


def _cell(spread: Spread | None, metric: str) -> str:
    _, digits, width = _COLUMNS[metric]
    return " " * _width(metric) if spread is None else f"{spread.show(digits, width):<{_width(metric)}}"


def goals_table(figures: Figures) -> str:
    """Return the goals, the missed ones last, where they are seen."""
    found = verdicts(figures)
    lines = ["", "== Goals ==", "", f"{'':<74}{'at most':>9}  {'found':<24}"]
    for verdict in sorted(found, key=lambda one: not one.met):
        lines.append(_goal(verdict))
    met = sum(verdict.met for verdict in found)
    lines += ["", f"{met} of {len(found)} goals met"]
    return "\n".join(lines)


def progress_table(figures: Figures) -> str:
    """Return the ratios of this version of ours to another one, where both were measured."""
    lines = ["", "== Now / before ==", ""]
    for key in figures:
        before = figures.ratio(key, replace(key, subject=f"{key.subject}@before"))
        if before is not None and key.metric in _PROGRESS:
            what = f"  {key.experiment} {key.case}  {key.subject}  {_heading(key.experiment, key.metric)}"
            lines.append(f"{what:<76}{before.show(3, 7).rstrip()}")
    return "\n".join(lines)


def _goal(verdict: Verdict) -> str:
    found = verdict.found.show(2, 6).rstrip()
    return f"  {verdict.what:<72}{verdict.at_most:>7.2f} {verdict.unit:<3} {found:<26} {'pass' if verdict.met else 'MISS'}"


def write(path: Path, figures: Figures, facts: dict[str, Any]) -> None:
    """Write all of it as JSON.

    :param path: the file; its folder is made.
    :param figures: of the run.
    :param facts: about the machine and the run.
    """
    goals = [
        {"goal": one.what, "at_most": one.at_most, "unit": one.unit, "found": one.found.median, "met": one.met}
        for one in verdicts(figures)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {**facts, "goals": goals, "failures": figures.failures, "figures": figures.dump()}
    path.write_text(json.dumps(content, indent=1) + "\n")
