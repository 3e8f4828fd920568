"""Plots of a run's figures, as SVG files that the documentation shows: ``python -m benchmarks.plots JSON FOLDER``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .cases import Case
from .client import CLIENTS
from .figures import Figures, Key
from .subjects import SUBJECTS

__all__ = ["draw"]

_FAMILIES = ("threads", "gevent", "eventlet", "asyncio")
_COLOURS = {"ours": "#1b6ca8", "server": "#7fb2d9", "peer": "#c9743f", "bare": "#9a9a9a", "before": "#1b6ca8"}
_WIDTH = 8.0  # inches


def draw(figures: Figures, folder: Path) -> list[Path]:
    """Draw what can be drawn of the figures; return the files."""
    import matplotlib

    matplotlib.use("svg")
    # Text stays text, and the same figures make the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name, plot in _plots(figures) if (path := _save(plot, folder / f"{name}.svg")) is not None]


def _plots(figures: Figures) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name, case in (("small", "32x64"), ("lone", "1x64"), ("compressed", "32x1024-deflate"), ("tls", "32x64-tls")):
        yield name, lambda case=case: _bars(figures, "echo", [case], "cpu_us", "CPU of the server, µs per message")
    yield "sizes", lambda: _lines(figures, "echo", _sizes(figures), lambda case: case.size, "bytes of a message, 1 connection")
    growth = [Case.parse(name) for name in figures.cases("growth")]
    yield "growth", lambda: _lines(figures, "growth", growth, lambda case: case.connections, "active connections, 64 bytes")
    yield "memory", lambda: _bars(figures, "idle", figures.cases("idle"), "kib", "KiB per idle connection")
    yield (
        "clients",
        lambda: _bars(figures, "clients", figures.cases("clients")[:1], "cpu_us", "CPU of the client, µs per message"),
    )


def _save(plot: Callable[[], Any], path: Path) -> Path | None:
    import matplotlib.pyplot as pyplot

    figure = plot()
    if figure is None:
        return None  # nothing of it was measured
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return path


def _sizes(figures: Figures) -> list[Case]:
    cases = [Case.parse(name) for name in figures.cases("echo")]
    return [case for case in cases if case == Case(1, case.size)]


def _kind(name: str) -> str:
    return CLIENTS[name].kind if name in CLIENTS else SUBJECTS[name].kind


def _family(name: str) -> str:
    return CLIENTS[name].family if name in CLIENTS else SUBJECTS[name].family


def _bars(figures: Figures, experiment: str, cases: Sequence[str], metric: str, title: str) -> Any:
    """One bar for each subject, the families one below the other; of several cases the later ones are paler."""
    import matplotlib.pyplot as pyplot

    names = [name for name in figures.subjects(experiment, cases[0])] if cases else []
    names = sorted((name for name in names if "@" not in name), key=lambda name: _FAMILIES.index(_family(name)))
    if not names:
        return None
    figure, axes = pyplot.subplots(figsize=(_WIDTH, 0.5 + 0.2 * len(names) * len(cases)))
    height = 0.8 / len(cases)
    for number, case in enumerate(cases):
        for place, name in enumerate(names):
            spread = figures.spread(Key(experiment, case, name, metric))
            if spread is None:
                continue
            position = place + (number - (len(cases) - 1) / 2) * height
            axes.barh(position, spread.median, height, color=_COLOURS[_kind(name)], alpha=1 - 0.5 * number)
            axes.text(spread.median, position, f" {spread.median:.3g}", va="center", fontsize=7)
    axes.set_yticks(range(len(names)), [f"{name}" for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(f"{title} ({' and '.join(cases)})")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def _lines(figures: Figures, experiment: str, cases: Sequence[Case], place: Callable[[Case], int], title: str) -> Any:
    """One line for each subject, one plot for each family."""
    import matplotlib.pyplot as pyplot

    if len(cases) < 2:
        return None
    names = [name for name in figures.subjects(experiment, cases[0].name) if _kind(name) in ("ours", "peer", "bare")]
    families = [family for family in _FAMILIES if any(_family(name) == family for name in names)]
    figure, grid = pyplot.subplots(1, len(families), figsize=(_WIDTH, 3.2), sharey=True, squeeze=False, layout="constrained")
    for family, axes in zip(families, grid[0], strict=True):
        peers = 0
        for name in (name for name in names if _family(name) == family):
            points = [(place(case), figures.spread(Key(experiment, case.name, name))) for case in cases]
            known = sorted((where, spread.median) for where, spread in points if spread is not None)
            kind = _kind(name)
            style = ("-", "--", ":", "-.")[peers % 4] if kind == "peer" else "--" if name == "ours-aiohttp" else "-"
            peers += kind == "peer"
            axes.plot(*zip(*known, strict=True), style, color=_COLOURS[kind], label=name, linewidth=2 if kind == "ours" else 1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(family)
        axes.legend(fontsize=6)
    grid[0][0].set_ylabel("CPU of the server, µs per message")
    figure.supxlabel(title, fontsize=9)
    return figure


def main(source: str, folder: str) -> None:
    """Draw a run that was written before."""
    figures = Figures()
    figures.load(json.loads(Path(source).read_text())["figures"])
    for path in draw(figures, Path(folder)):
        print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
