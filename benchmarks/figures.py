"""What was measured: figures by experiment, case, subject and metric, one for each round; medians, quartiles and ratios."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

__all__ = ["Figures", "Key", "Spread"]


@dataclass(frozen=True)
class Key:
    """What a figure says something about.

    :param experiment: echo, growth, idle, accept, broadcast, scale or clients.
    :param case: its case, as the experiment names it.
    :param subject: name of the subject or client.
    :param metric: what was measured, with its unit.
    """

    experiment: str
    case: str
    subject: str
    metric: str = "cpu_us"


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
        low, _, high = quantiles(values, n=4, method="inclusive")
        return cls(low, median(values), high)

    def show(self, digits: int, width: int) -> str:
        """Return it as a cell of a table."""
        quartiles = f"({self.low:,.{digits}f} - {self.high:,.{digits}f})"
        return f"{self.median:{width},.{digits}f} {quartiles:<{2 * width + 5}}"


class Figures:
    """All figures of a run."""

    def __init__(self) -> None:
        self._values: dict[Key, dict[int, float]] = {}
        #: What did not work, in words.
        self.failures: list[str] = []

    def add(self, experiment: str, case: str, subject: str, number: int = 1, **metrics: float) -> None:
        """Add what one subject measured in one round.

        :param number: of the round.  Default: 1.
        """
        for metric, value in metrics.items():
            self._values.setdefault(Key(experiment, case, subject, metric), {})[number] = value

    def __iter__(self) -> Iterator[Key]:
        return iter(self._values)

    def cases(self, experiment: str) -> list[str]:
        """Return the cases of an experiment, in the order in which they came."""
        return list(dict.fromkeys(key.case for key in self._values if key.experiment == experiment))

    def subjects(self, experiment: str, case: str) -> list[str]:
        """Return the subjects that were measured under a case, in the order in which they came."""
        found = (key.subject for key in self._values if key.experiment == experiment and key.case == case)
        return list(dict.fromkeys(found))

    def spread(self, key: Key) -> Spread | None:
        """Return a figure over all rounds, ``None`` when it was not measured."""
        values = self._values.get(key)
        return Spread.of(list(values.values())) if values else None

    def ratio(self, one: Key, other: Key) -> Spread | None:
        """Return the ratio of two figures, ``None`` when one was not measured.

        It is formed within each round: what else the machine did then slowed both down.
        """
        ones, others = self._values.get(one, {}), self._values.get(other, {})
        ratios = [ones[number] / others[number] for number in ones if others.get(number)]
        return Spread.of(ratios) if ratios else None

    def difference(self, one: Key, other: Key) -> Spread | None:
        """Return the difference of two figures, as `ratio` does."""
        ones, others = self._values.get(one, {}), self._values.get(other, {})
        found = [ones[number] - others[number] for number in ones if number in others]
        return Spread.of(found) if found else None

    def dump(self) -> list[dict[str, Any]]:
        """Return all of it for JSON."""
        return [
            {**asdict(key), **asdict(Spread.of(list(values.values()))), "rounds": values} for key, values in self._values.items()
        ]

    def load(self, dumped: list[dict[str, Any]]) -> None:
        """Take what `dump` returned."""
        for one in dumped:
            key = Key(one["experiment"], one["case"], one["subject"], one["metric"])
            self._values[key] = {int(number): value for number, value in one["rounds"].items()}
