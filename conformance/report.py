"""What the suite found: its index.json read and counted, the table, and the copy of it in the docs.

The suite gives every case a behavior and a close behavior, words that `Counts` sorts.  A case counts once for each column that
it belongs in; a case that the suite was asked to run and that is not in its report is counted as not run, never left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .modes import MODES

__all__ = ["BadReport", "Counts", "Outcome", "as_rst", "read_index", "table", "write_docs"]

CLEAN_CLOSE = ("OK", "INFORMATIONAL")
COLUMNS = ("run", "OK", "non-strict", "informational", "unimplemented", "failed", "unclean close", "not run")


class BadReport(Exception):
    """The suite's report is missing, or is not what it is known to be."""


@dataclass
class Counts:
    """How many cases ended how.

    :param asked: how many the suite was to run, as it said itself.
    """

    asked: int
    ran: int = 0
    ok: int = 0
    non_strict: int = 0
    informational: int = 0
    unimplemented: int = 0
    failed: int = 0
    unclean: int = 0  # a wrong close code, TCP cut instead of closed, closed by the wrong side

    @property
    def not_run(self) -> int:
        """Cases that are not in the report."""
        return self.asked - self.ran

    @property
    def row(self) -> tuple[int, ...]:
        """The numbers in the order of COLUMNS."""
        return (
            self.ran,
            self.ok,
            self.non_strict,
            self.informational,
            self.unimplemented,
            self.failed,
            self.unclean,
            self.not_run,
        )

    @property
    def good(self) -> bool:
        """Whether all was run, and nothing deviates."""
        return self.ran > 0 and self.ran == self.asked == self.ok + self.informational and not self.unclean


@dataclass
class Outcome:
    """One mode's run.

    :param title: the mode's.
    :param counts: what the report says.
    :param deviations: a line for each case that is not as it should be.
    :param problems: what went wrong beside the cases.
    """

    title: str
    counts: Counts
    deviations: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing went wrong."""
        return self.counts.good and not self.problems


def read_index(path: Path, agent: str, asked: int) -> tuple[Counts, list[str]]:
    """Count the cases of the suite's index.json, and describe those that deviate.

    :param path: the file.
    :param agent: whose cases; the name that the mode was run under.
    :param asked: how many there should be.
    :raises BadReport: it is not there, or says something unknown.
    """
    try:
        cases = json.loads(path.read_text())[agent]
    except FileNotFoundError:
        raise BadReport("the suite wrote no report") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadReport(f"{path.name} has no cases of {agent}: {error!r}") from None
    counts = Counts(asked)
    deviations: list[str] = []
    for number in sorted(cases, key=_by_number):
        case = cases[number]
        behavior, close = case["behavior"], case["behaviorClose"]
        counts.ran += 1
        match behavior:
            case "OK":
                counts.ok += 1
            case "NON-STRICT":
                counts.non_strict += 1
            case "INFORMATIONAL":
                counts.informational += 1
            case "UNIMPLEMENTED":
                counts.unimplemented += 1
            case "FAILED":
                counts.failed += 1
            case _:
                raise BadReport(f"case {number} is said to be {behavior!r}, which is not known here")
        if close not in CLEAN_CLOSE:
            counts.unclean += 1
        if behavior not in ("OK", "INFORMATIONAL") or close not in CLEAN_CLOSE:
            deviations.append(f"case {number}: {behavior}, close {close} (code {case['remoteCloseCode']}); {case['reportfile']}")
    return counts, deviations


def _by_number(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def table(outcomes: Iterable[Outcome]) -> str:
    """Return the table for people."""
    lines = [f"{'mode':<26}" + "".join(f"{name:>15}" for name in COLUMNS) + f"{'seconds':>9}"]
    lines.append("-" * len(lines[0]))
    for outcome in outcomes:
        numbers = "".join(f"{number:>15}" for number in outcome.counts.row)
        mark = "" if outcome.good else "  !!!"
        lines.append(f"{outcome.title:<26}{numbers}{outcome.seconds:>9.0f}{mark}")
    return "\n".join(lines)


def write_docs(data: Path, fragment: Path, facts: Mapping[str, str], name: str, outcome: Outcome) -> None:
    """Put one mode's outcome into the docs: the numbers as JSON, and the table made of them.

    :param data: the JSON file; the other modes keep the rows that they have there.
    :param fragment: the piece of reStructuredText.
    :param facts: with what it was run; stands in the row.
    :param name: the mode's.
    :param outcome: the mode's.
    """
    rows: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {}
    rows[name] = {
        "title": outcome.title,
        **asdict(outcome.counts),
        "deviations": outcome.deviations,
        "problems": [problem.splitlines()[0] for problem in outcome.problems],
        **facts,
    }
    order = [mode.name for mode in MODES]
    rows = {name: rows[name] for name in order if name in rows}
    data.write_text(json.dumps(rows, indent=1) + "\n")
    fragment.write_text(as_rst(rows))


def as_rst(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of the docs, made of what their JSON file holds."""
    lines = [
        ".. Written by `python -m conformance` when it has run all cases; do not edit.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - mode",
        *[f"     - {name}" for name in COLUMNS],
    ]
    counted = Counts.__dataclass_fields__
    for row in rows.values():
        counts = Counts(**{name: row[name] for name in counted})
        lines.append(f"   * - {row['title'].replace('sock=', '``sock=``')}")
        lines += [f"     - {number}" for number in counts.row]
    total = sum(row["ran"] for row in rows.values())
    runs = sorted({(row["date"], row["suite"], row["python"], row["library"]) for row in rows.values()})
    lines += ["", f"{total} cases were run, in {len(rows)} of {len(MODES)} modes."]
    lines += [f"Run on {date}: {suite}; the library, {library}, on {python}." for date, suite, python, library in runs]
    for row in rows.values():
        trouble = [*row["deviations"], *row["problems"]]
        if trouble:
            lines += ["", f"{row['title']}:".replace("sock=", "``sock=``"), ""]
            lines += [f"* ``{line}``" for line in trouble]
    return "\n".join(lines) + "\n"
