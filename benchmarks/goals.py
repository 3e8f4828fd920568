"""What the figures must be: the ratios of the design and those that were promised for scale, each with pass or miss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .client import CLIENTS
from .figures import Figures, Key, Spread
from .subjects import SUBJECTS

__all__ = ["Verdict", "verdicts"]

_PICOWS = 1.4  # it is C through and through
_RATIO, _KIB, _PERCENT, _COUNT = "x", "KiB", "%", ""


@dataclass(frozen=True)
class Verdict:
    """A goal and what came out.

    :param what: the goal in words.
    :param at_most: the figure that must not be exceeded.
    :param unit: of both.
    :param found: what was measured.
    """

    what: str
    at_most: float
    unit: str
    found: Spread

    @property
    def met(self) -> bool:
        """Whether the median is within it."""
        return self.found.median <= self.at_most


#: (ours, other, at most, cases) of CPU per echoed message.
_DESIGN = (
    ("ours-threads", "bare-threads", 1.6, ("1x64",)),
    ("ours-threads", "websockets-sync", 0.33, ("1x64", "32x64")),
    ("ours-gevent", "bare-gevent", 1.4, ("1x64",)),
    ("ours-gevent", "gevent-websocket", 0.65, ("1x64", "32x64")),
    ("ours-eventlet", "bare-eventlet", 1.4, ("1x64",)),
    ("ours-eventlet", "eventlet.websocket", 0.5, ("1x64",)),
    ("ours-aiohttp", "aiohttp", 0.75, ("32x64",)),
)
_IDLE = {"ours-threads": 24, "ours-gevent": 16, "ours-asyncio": 10}  # KiB
_IDLE_DEFLATE = 40  # KiB more
_BROADCAST = (("ours-threads", "bare-threads"), ("ours-gevent", "bare-gevent"), ("ours-eventlet", "bare-eventlet"),
              ("ours-asyncio", "bare-asyncio"), ("ours-aiohttp", "bare-asyncio"))  # fmt: skip


def verdicts(figures: Figures) -> list[Verdict]:
    """Return every goal of which the figures are there."""
    return [Verdict(what, at_most, unit, found) for what, at_most, unit, found in _all(figures) if found is not None]


def _all(figures: Figures) -> Iterator[tuple[str, float, str, Spread | None]]:
    for ours, other, at_most, cases in _DESIGN:
        for case in cases:
            yield f"{ours} / {other} at {case}", at_most, _RATIO, _echo(figures, ours, other, case)
    yield from _every_peer(figures)
    for subject, limit in _IDLE.items():
        for case in _plain(figures, "idle"):
            yield f"an idle connection of {subject}", limit, _KIB, figures.spread(Key("idle", case, subject, "kib"))
    for case in _plain(figures, "idle"):
        for subject in figures.subjects("idle", case):
            if SUBJECTS[subject].kind == "ours":
                more = figures.difference(Key("idle", f"{case}-deflate", subject, "kib"), Key("idle", case, subject, "kib"))
                yield f"an idle connection of {subject} with compression, more than without", _IDLE_DEFLATE, _KIB, more
    for subject in ("ours-gevent", "ours-asyncio"):
        ratio = figures.ratio(Key("growth", "1000x64", subject), Key("growth", "10x64", subject))
        yield f"{subject} at 1000x64 / at 10x64", 1.3, _RATIO, ratio
    for case in figures.cases("broadcast"):
        for ours, other in _BROADCAST:
            ratio = figures.ratio(Key("broadcast", case, ours), Key("broadcast", case, other))
            yield f"a broadcast of {ours} / {other} to {case} connections", 1.5, _RATIO, ratio
    for case in figures.cases("scale"):
        for subject in figures.subjects("scale", case):
            idle_cpu = figures.spread(Key("scale", case, subject, "idle_percent"))
            if SUBJECTS[subject].kind == "ours":
                if SUBJECTS[subject].family != "threads":
                    yield f"idle CPU of {subject} with {case} connections and keepalive", 5, _PERCENT, idle_cpu
                background = figures.spread(Key("scale", case, subject, "background"))
                yield f"background threads and greenlets of {subject} with {case} connections", 1, _COUNT, background


def _every_peer(figures: Figures) -> Iterator[tuple[str, float, str, Spread | None]]:
    """CPU per message below every peer's, in every case and mode; a peer is compared with ours of its family."""
    stated = {(ours, other, case) for ours, other, _, cases in _DESIGN for case in cases}
    for case in figures.cases("echo"):
        for ours in figures.subjects("echo", case):
            for other in figures.subjects("echo", case):
                if _compared(ours, other) and (ours, other, case) not in stated:
                    limit = _PICOWS if other == "picows" else 1.0
                    yield f"{ours} / {other} at {case}", limit, _RATIO, _echo(figures, ours, other, case)
    for case in figures.cases("clients"):
        for ours in figures.subjects("clients", case):
            for other in figures.subjects("clients", case):
                one, two = CLIENTS[ours], CLIENTS[other]
                if (one.kind, two.kind, one.family) == ("ours", "peer", two.family):
                    ratio = figures.ratio(Key("clients", case, ours), Key("clients", case, other))
                    yield f"{ours} / {other} at {case}", 1.0, _RATIO, ratio


def _compared(ours: str, other: str) -> bool:
    one, two = SUBJECTS[ours], SUBJECTS[other]
    if (one.kind, two.kind, one.family) != ("ours", "peer", two.family):
        return False
    return (ours == "ours-aiohttp") <= (other == "aiohttp")  # under aiohttp its own one is the alternative


def _echo(figures: Figures, ours: str, other: str, case: str) -> Spread | None:
    return figures.ratio(Key("echo", case, ours), Key("echo", case, other))


def _plain(figures: Figures, experiment: str) -> list[str]:
    return [case for case in figures.cases(experiment) if not case.endswith("-deflate")]
