"""scripts/branch_coverage.py: a process of the suite and one that it starts are measured; the two figures; what fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from branch_coverage import Measuring, floor, judge, missing, share  # noqa: E402


def summary(statements, lines, branches=0, covered=0):
    return {"num_statements": statements, "covered_lines": lines, "num_branches": branches, "covered_branches": covered}


def file(*numbers, lines=(), branches=()):
    return {"summary": summary(*numbers), "missing_lines": list(lines), "missing_branches": [list(one) for one in branches]}


def test_the_goals():
    good = {"protocol/a.py": file(10, 10, 4, 4), "sync.py": file(90, 87)}
    lines, wrong = judge(good)
    assert lines == ["Branch coverage of protocol/ 100 % and of the package 97.1 %"] and not wrong
    lines, wrong = judge({**good, "protocol/a.py": file(10, 10, 4, 3, branches=[(7, 9), (8, -1)])})
    assert wrong == ["branch coverage of protocol/ is 92.8 %, and must be 100 %"]
    assert "protocol/a.py" in lines[0] and "7->9, 8->end" in lines[0]
    lines, wrong = judge({**good, "sync.py": file(90, 80, lines=range(10))})
    assert wrong == ["branch coverage of the package is 90.3 %, and must be 95 %"]


def test_nothing_is_rounded_up():
    assert floor(99.99) == "99.9" and floor(100.0) == "100" and floor(share([summary(3000, 2999)])) == "99.9"
    assert share([]) == 0.0
    assert missing(file(1, 0, lines=[3], branches=[(3, 4), (5, 6)])) == "3, 5->6"


def test_nothing_measured_is_a_failure(tmp_path):
    lines, wrong = Measuring(tmp_path / "coverage").report()
    assert not lines and "nothing was measured" in wrong[0]


@pytest.mark.parametrize("suite", ["protocol", "gevent"])
def test_a_suite_and_the_processes_it_starts(tmp_path, suite):
    measuring = Measuring(tmp_path / "coverage")
    child = "from simple_websocket.protocol.clock import Keepalive; Keepalive(1.0, 1.0, 0.0)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    environment = {**os.environ, **measuring.environment(suite)}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True, timeout=60)
    lines, wrong = measuring.report()
    assert len(wrong) == 2
    assert lines[-1].startswith("Branch coverage of protocol/ ") and not lines[-1].startswith("Branch coverage of protocol/ 0 ")
    assert any("protocol/clock.py" in line for line in lines)


USE = "from simple_websocket.protocol.clock import Keepalive; Keepalive(1.0, 1.0, 0.0)"
ENDS = {
    "sigterm": f"import os, signal; {USE}; os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
    "a forked child's _exit": f"import os; pid = os.fork()\nif not pid:\n    {USE}; os._exit(0)\nos.waitpid(pid, 0); os._exit(0)",
}


@pytest.mark.parametrize("how", ENDS)
def test_processes_that_do_not_end_as_usual(tmp_path, how):
    measuring = Measuring(tmp_path / "coverage")
    environment = {**os.environ, **measuring.environment("servers")}
    done = subprocess.run([sys.executable, "-c", ENDS[how]], env=environment, cwd=ROOT, timeout=60)
    assert done.returncode == (-15 if how == "sigterm" else 0)
    lines, _ = measuring.report()
    assert lines and not lines[-1].startswith("Branch coverage of protocol/ 0 ")
    assert any("protocol/clock.py" in line for line in lines)
