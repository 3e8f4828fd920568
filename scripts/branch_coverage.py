"""Branch coverage of the test suites: what makes a suite's processes measure themselves, and the two figures that come of it.

The package `coverage` starts with the interpreter where the environment names a configuration (COVERAGE_PROCESS_START), so the
processes that a suite starts in the same venv are measured like the suite's own.  In the tests only the servers' launcher and
the fixture `measuring` know of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "simple_websocket"

# How threads and greenlets are told apart. "greenlet" and not "gevent" or "eventlet", which would be imported before they can
# monkey-patch; it slows a process down that has no greenlets, so the other suites do without.
GREEN = ("gevent", "eventlet", "servers")

# The configuration beside that one, which a server may ask for that must not load greenlet: uWSGI's workers crash at their end
# where coverage asks greenlet once more.
THREADS = "threads.ini"

# The others run the same lines again, or ask how long something takes and how much memory.
MEASURED = ("protocol", "protocol-pure", "threading", *GREEN, "asyncio", "asgi")

CONFIGURATION = """\
[run]
branch = true
parallel = true
concurrency = {concurrency}
source = {package}
data_file = {data}
# Servers are ended by a signal, and forked children by os._exit.
sigterm = true
patch = _exit
[report]
exclude_also =
    if TYPE_CHECKING:
    raise NotImplementedError
"""


class Goal(NamedTuple):
    what: str
    prefix: str  # of the files, below the package
    percent: float


GOALS = [Goal("protocol/", "protocol/", 100.0), Goal("the package", "", 95.0)]


class Measuring:
    """A folder with the configurations and the data of one round of suites.

    :param folder: is emptied.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def environment(self, suite: str) -> dict[str, str]:
        """What to add to the environment of a suite's process."""
        if suite not in MEASURED:
            return {}
        self._configure(THREADS, "thread")
        if suite not in GREEN:
            return {"COVERAGE_PROCESS_START": str(self.folder / THREADS)}
        self._configure("greenlets.ini", "thread, greenlet")
        return {"COVERAGE_PROCESS_START": str(self.folder / "greenlets.ini")}

    def _configure(self, name: str, concurrency: str) -> None:
        text = CONFIGURATION.format(concurrency=concurrency, package=PACKAGE, data=self.folder / "data")
        (self.folder / name).write_text(text)

    def report(self) -> tuple[list[str], list[str]]:
        """Put the data together; return the lines to print, and what is wrong."""
        if not list(self.folder.glob("data.*")):
            return [], ["branch coverage: nothing was measured; is the package coverage installed?"]
        try:
            return self._combine()
        except RuntimeError as error:
            return [], [f"branch coverage: {error}"]

    def _combine(self) -> tuple[list[str], list[str]]:
        settings = next(self.folder.glob("*.ini"))
        self._coverage("combine", f"--rcfile={settings}", "--quiet")
        self._coverage("html", f"--rcfile={settings}", "--quiet", f"--directory={self.folder / 'html'}")
        self._coverage("json", f"--rcfile={settings}", "--quiet", f"-o{self.folder / 'figures.json'}")
        found = json.loads((self.folder / "figures.json").read_text())["files"]
        files = {Path(name).resolve().relative_to(PACKAGE).as_posix(): file for name, file in found.items()}
        return judge(files)

    def _coverage(self, command: str, *options: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        done = subprocess.run(
            [sys.executable, "-m", "coverage", command, *options], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"coverage {command}: {done.stdout}{done.stderr}")


def judge(files: dict[str, dict[str, object]]) -> tuple[list[str], list[str]]:
    """The lines to print, and the goals that were missed, from the files of coverage's JSON report."""
    lines, wrong, figures = [], [], []
    for goal in GOALS:
        chosen = {name: file["summary"] for name, file in files.items() if name.startswith(goal.prefix)}
        percent = share(list(chosen.values()))
        figures.append(f"{goal.what} {floor(percent)} %")
        if percent < goal.percent:
            wrong.append(f"branch coverage of {goal.what} is {floor(percent)} %, and must be {goal.percent:g} %")
            for name, summary in sorted(chosen.items(), key=lambda item: share([item[1]])):
                if share([summary]) < goal.percent:
                    lines.append(f"  {name:<28} {floor(share([summary])):>6} %  {missing(files[name])}")
    lines.append("Branch coverage of " + " and of ".join(figures))
    return lines, wrong


def share(summaries: list[dict[str, int]]) -> float:
    """Statements and branches that ran, in percent of those there are."""
    there = sum(one["num_statements"] + one["num_branches"] for one in summaries)
    ran = sum(one["covered_lines"] + one["covered_branches"] for one in summaries)
    return 100.0 * ran / there if there else 0.0


def floor(percent: float) -> str:
    """With one digit; 99.99 is not shown as 100."""
    return f"{int(percent * 10) / 10:g}"


def missing(file: dict[str, object]) -> str:
    """Where, in short: lines, and branches as "from->to"."""
    lines, branches = file["missing_lines"], file["missing_branches"]
    assert isinstance(lines, list) and isinstance(branches, list)
    places = [str(line) for line in lines] + [
        f"{one}->{other if other > 0 else 'end'}" for one, other in branches if one not in lines
    ]
    return ", ".join(places[:12]) + (" ..." if len(places) > 12 else "")
