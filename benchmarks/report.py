"""What came out: medians and quartiles over the rounds, ratios beside their goals, a table and a JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from .goals import COMPARISONS, Comparison

__all__ = ["Measured", "Report", "Spread"]


@dataclass(frozen=True)
class Measured:
    """One subject under one case in one round.

    :param subject: its name.
    :param case: its name.
    :param round: its number.
    :param messages: that were echoed.
    :param seconds: that the generator took.
    :param cpu: seconds of CPU that the subject's process took, in user and system mode.
    """

    subject: str
    case: str
    round: int
    messages: int
    seconds: float
    cpu: float


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles around it."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of some values."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(low, middle, high)

    def show(self, digits: int, width: int) -> str:
        """Return it as a cell of a table."""
        quartiles = f"({self.low:,.{digits}f} - {self.high:,.{digits}f})"
        return f"{self.median:{width},.{digits}f} {quartiles:<{2 * width + 5}}"


class Report:
    """What was measured so far."""

    def __init__(self, measured: Iterable[Measured]) -> None:
        self.measured = list(measured)
        self._cpu: dict[tuple[str, str], dict[int, float]] = {}
        self._rate: dict[tuple[str, str], list[float]] = {}
        for one in self.measured:
            key = one.subject, one.case
            self._cpu.setdefault(key, {})[one.round] = one.cpu / one.messages * 1e6
            self._rate.setdefault(key, []).append(one.messages / one.seconds)

    def ratio(self, comparison: Comparison, case: str) -> Spread | None:
        """Return the ratio of a comparison, ``None`` when one of its subjects was not measured.

        It is formed within each round: what else the machine did then slowed both down.
        """
        ours = self._cpu.get((comparison.subject, case), {})
        theirs = self._cpu.get((comparison.against, case), {})
        ratios = [ours[number] / theirs[number] for number in ours if number in theirs]
        return Spread.of(ratios) if ratios else None

    def table(self, cases: Sequence[str]) -> str:
        """Return the tables to print."""
        lines = []
        for case in cases:
            lines += ["", f"{case:<20} {'CPU of the server, us/message':<31} {'messages/s':<25}"]
            for (subject, measured_case), values in self._cpu.items():
                if measured_case == case:
                    rate = Spread.of(self._rate[subject, case]).show(0, 7)
                    lines.append(f"  {subject:<18} {Spread.of(list(values.values())).show(2, 6):<31} {rate}".rstrip())
        lines += ["", f"{'CPU of the server per message, ratio':<67} at most   goal"]
        for case in cases:
            for comparison in COMPARISONS:
                ratio = self.ratio(comparison, case)
                if ratio is not None:
                    what = f"  {case:<9} {comparison.subject} / {comparison.against}"
                    lines.append(f"{what:<50} {ratio.show(2, 5)} {_verdict(comparison, case, ratio)}".rstrip())
        return "\n".join(lines)

    def missed(self, cases: Sequence[str]) -> list[str]:
        """Return the comparisons whose limit or goal was missed, in words."""
        found = []
        for case in cases:
            for comparison in COMPARISONS:
                ratio = self.ratio(comparison, case)
                if ratio is not None and case in comparison.cases and ratio.median > comparison.goal:
                    found.append(f"{comparison.subject} / {comparison.against} at {case}")
        return found

    def write(self, path: Path, cases: Sequence[str], facts: dict[str, Any]) -> None:
        """Write all of it as JSON.

        :param path: the file; its folder is made.
        :param cases: names of the cases.
        :param facts: about the machine and the run.
        """
        summary = [
            {
                "subject": subject,
                "case": case,
                "cpu_us_per_message": asdict(Spread.of(list(values.values()))),
                "messages_per_second": asdict(Spread.of(self._rate[subject, case])),
            }
            for (subject, case), values in self._cpu.items()
        ]
        ratios = [
            {
                "subject": comparison.subject,
                "against": comparison.against,
                "case": case,
                "ratio": asdict(ratio),
                "limit": comparison.limit if case in comparison.cases else None,
                "goal": comparison.goal if case in comparison.cases else None,
            }
            for case in cases
            for comparison in COMPARISONS
            if (ratio := self.ratio(comparison, case)) is not None
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {**facts, "summary": summary, "ratios": ratios, "measured": [asdict(one) for one in self.measured]}
        path.write_text(json.dumps(content, indent=1) + "\n")


def _verdict(comparison: Comparison, case: str, ratio: Spread) -> str:
    if case not in comparison.cases:
        return ""
    if ratio.median > comparison.limit:
        verdict = "LIMIT EXCEEDED" if comparison.limit > comparison.goal else "goal missed"
    else:
        verdict = "goal missed" if ratio.median > comparison.goal else "met"
    return f"{comparison.limit:7.2f} {comparison.goal:6.2f}  {verdict}"
