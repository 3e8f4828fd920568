"""The test runner itself, tried on tests that hang or leave something behind: it ends them and names the test."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
OVER_ITS_LIMIT = "over the time limit of a test, which ended the process"

HANGS_HOLDING_A_LOCK = """
    import threading
    import pytest

    def test_passes():
        pass

    @pytest.mark.limit(0.5)
    def test_hangs():
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
"""
HANGS_AFTER_FAILING = """
    import threading
    import pytest

    @pytest.fixture
    def stuck():
        yield
        threading.Event().wait()

    @pytest.mark.limit(0.5)
    def test_fails(stuck):
        assert False
"""
HANGS_FOR_EVER = """
    import threading

    def test_hangs():
        threading.Event().wait()
"""
LEAVES_A_PROCESS = """
    import subprocess
    import sys

    def test_leaves_a_process():
        code = "import time; time.sleep(60)"
        process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        process.returncode = 0  # so that subprocess says nothing about it
"""


@pytest.fixture
def suite_run(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import suite_run

    return suite_run


@pytest.fixture
def run(suite_run, tmp_path, monkeypatch):
    """Run the text of a test file under the project's conftest and settings, as scripts/run_tests.py runs a suite."""

    def run(text, limit=30.0):
        folder = tmp_path / "tests" / "tried"
        folder.mkdir(parents=True)
        for package in (folder, folder.parent):
            (package / "__init__.py").touch()
        (tmp_path / "setup.cfg").write_bytes((ROOT / "setup.cfg").read_bytes())
        (folder.parent / "conftest.py").write_bytes((ROOT / "tests" / "conftest.py").read_bytes())
        (folder / "test_it.py").write_text(textwrap.dedent(text))
        monkeypatch.setattr(suite_run, "ROOT", tmp_path)
        suite = suite_run.Suite("tried", "tests/tried", limit)
        attempt = suite_run.SuiteRun(suite, "here", sys.executable, tmp_path / "results")
        attempt.start()
        deadline = time.monotonic() + 30
        while not attempt.follow():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return attempt

    return run


def test_a_hanging_test_is_ended_and_named(run):
    attempt = run(HANGS_HOLDING_A_LOCK)
    assert attempt.count("passed") == 1
    assert attempt.problems == [f"{OVER_ITS_LIMIT}: tests/tried/test_it.py::test_hangs"]
    log = attempt.log.read_text()
    assert "Timeout" in log and "test_it.py" in log  # the stack of the test


def test_a_clean_up_that_hangs_after_a_failure_is_ended(run):
    attempt = run(HANGS_AFTER_FAILING)
    assert attempt.problems == [f"{OVER_ITS_LIMIT}: tests/tried/test_it.py::test_fails"]
    assert attempt.count("failed") == 1


def test_a_suite_over_its_limit_is_killed_and_the_test_named(run):
    attempt = run(HANGS_FOR_EVER, limit=3.0)
    assert attempt.problems == ["killed after 3 s while running tests/tried/test_it.py::test_hangs"]
    assert "test_it.py" in attempt.log.read_text()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="found through /proc")
def test_a_process_left_behind_is_a_failure(run):
    attempt = run(LEAVES_A_PROCESS)
    assert any("left running" in problem for problem in attempt.problems)


def test_no_test_is_a_failure(run):
    attempt = run("")
    assert attempt.failed == 1


def test_the_limit_is_checked(run):
    attempt = run("import pytest\n\n@pytest.mark.limit(0)\ndef test_it():\n    pass\n")
    assert attempt.failed == 1 and "limit takes one positive number" in attempt.log.read_text()


def test_no_interpreter_older_than_supported_is_used():
    """And what is found really runs."""
    code = "import interpreters as i; m = i.this_one(); print(m.label, *(o.label for o in i.others(m)))"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, timeout=50, check=True
    ).stdout.split()
    assert output[0].rstrip("t") == "{}.{}".format(*sys.version_info)
    assert len(set(output)) == len(output)
    assert all(int(label.rstrip("t").split(".")[1]) >= 10 for label in output)
