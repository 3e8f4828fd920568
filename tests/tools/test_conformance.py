"""`make conformance` without the Autobahn suite: what is made of its reports, and what is said where it cannot be had.

SAMPLE is out of a real report, of a server with faults made for it.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.__main__ import DATA, DOCS, FRAGMENT
from conformance.modes import MODES
from conformance.report import BadReport, Outcome, as_rst, read_index, table, write_docs
from conformance.runs import ModeRun
from conformance.suite import Suite, ask

ROOT = Path(__file__).resolve().parent.parent.parent

SAMPLE = """{"sample": {
 "1.1.1": {"behavior": "FAILED", "behaviorClose": "FAILED", "duration": 1, "remoteCloseCode": null,
           "reportfile": "sample_case_1_1_1.json"},
 "1.1.4": {"behavior": "OK", "behaviorClose": "OK", "duration": 1, "remoteCloseCode": 1000,
           "reportfile": "sample_case_1_1_4.json"},
 "1.2.2": {"behavior": "FAILED", "behaviorClose": "WRONG CODE", "duration": 1014, "remoteCloseCode": 1001,
           "reportfile": "sample_case_1_2_2.json"},
 "13.1.1": {"behavior": "UNIMPLEMENTED", "behaviorClose": "OK", "duration": 6, "remoteCloseCode": 1000,
            "reportfile": "sample_case_13_1_1.json"},
 "3.2": {"behavior": "NON-STRICT", "behaviorClose": "OK", "duration": 2, "remoteCloseCode": 1002,
         "reportfile": "sample_case_3_2.json"},
 "7.1.6": {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL", "duration": 14, "remoteCloseCode": 1000,
           "reportfile": "sample_case_7_1_6.json"}
}}"""
FACTS = {"date": "2020-02-02", "suite": "the suite", "python": "CPython 3", "library": "simple-websocket"}


@pytest.fixture
def index(tmp_path):
    """Write a sample that has only these cases, or all; return its path."""

    def write(*cases):
        sample = json.loads(SAMPLE)["sample"]
        path = tmp_path / "index.json"
        path.write_text(json.dumps({"sample": {case: sample[case] for case in cases or sample}}))
        return path

    return write


def test_every_case_is_counted_as_what_it_is(index):
    counts, deviations = read_index(index(), "sample", 8)
    assert (counts.asked, counts.ran, counts.not_run) == (8, 6, 2)
    assert (counts.ok, counts.non_strict, counts.informational, counts.unimplemented, counts.failed) == (1, 1, 1, 1, 2)
    assert counts.unclean == 2
    assert not counts.good
    assert [line.split(":")[0] for line in deviations] == ["case 1.1.1", "case 1.2.2", "case 3.2", "case 13.1.1"]
    assert "WRONG CODE (code 1001); sample_case_1_2_2.json" in deviations[1]


@pytest.mark.parametrize("bad", ["1.1.1", "1.2.2", "3.2", "13.1.1"])
def test_one_case_that_deviates_is_enough(index, bad):
    assert read_index(index("1.1.4", "7.1.6"), "sample", 2)[0].good
    counts, deviations = read_index(index("1.1.4", "7.1.6", bad), "sample", 3)
    assert not counts.good and len(deviations) == 1


def test_a_wrong_close_of_a_case_that_is_ok_counts(index):
    path = index("1.1.4")
    path.write_text(path.read_text().replace('"behaviorClose": "OK"', '"behaviorClose": "FAILED BY CLIENT"'))
    counts, deviations = read_index(path, "sample", 1)
    assert (counts.ok, counts.unclean, counts.good) == (1, 1, False)
    assert "close FAILED BY CLIENT" in deviations[0]


def test_cases_that_were_not_run_count(index):
    counts, deviations = read_index(index("1.1.4"), "sample", 2)
    assert counts.not_run == 1 and not deviations and not counts.good


def test_no_case_at_all_is_not_good(index):
    path = index()
    path.write_text('{"sample": {}}')
    assert not read_index(path, "sample", 0)[0].good


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"other": {}}', SAMPLE.replace("UNIMPLEMENTED", "SPLENDID")])
def test_a_report_that_cannot_be_read_is_not_taken_for_good(index, text):
    path = index()
    path.write_text(text)
    with pytest.raises(BadReport):
        read_index(path, "sample", 6)
    path.unlink()
    with pytest.raises(BadReport, match="no report"):
        read_index(path, "sample", 6)


def test_the_table_marks_what_deviates(index):
    good = Outcome("The good", *read_index(index("1.1.4"), "sample", 1))
    bad = Outcome("The bad", *read_index(index(), "sample", 6))
    lines = table([good, bad]).splitlines()
    assert lines[2].split() == ["The", "good", *"11000000", "0"]
    assert lines[3].split() == ["The", "bad", *"61111220", "0", "!!!"]


def test_the_table_of_the_docs_keeps_the_rows_of_other_runs(index, tmp_path):
    data, fragment = tmp_path / "data.json", tmp_path / "fragment.inc"
    bad = Outcome("Second", *read_index(index(), "sample", 6))
    write_docs(data, fragment, FACTS, MODES[1].name, bad)
    write_docs(data, fragment, FACTS, MODES[0].name, Outcome("First", *read_index(index("1.1.4"), "sample", 1)))
    text = fragment.read_text()
    assert text.index("* - First") < text.index("* - Second")
    assert f"7 cases were run, in 2 of {len(MODES)} modes." in text
    assert "* ``case 3.2: NON-STRICT, close OK (code 1002); sample_case_3_2.json``" in text
    assert list(json.loads(data.read_text())) == [MODES[0].name, MODES[1].name]


def test_the_table_of_the_docs_is_what_its_data_says():
    rows = json.loads((DOCS / DATA).read_text())
    assert rows and set(rows) <= {mode.name for mode in MODES}
    assert (DOCS / FRAGMENT).read_text() == as_rst(rows)


@pytest.fixture
def bare(tmp_path):
    """Run `python -m conformance` where neither a Python 2.7 nor a container engine is, but for what is given."""

    def run(programs=(), **more):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, text in programs:
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHON27", "PYENV_ROOT")}
        environment |= {"PATH": str(folder), "HOME": str(tmp_path), **more}
        command = [sys.executable, "-m", "conformance", "--quick"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50)

    return run


def test_where_there_is_nothing_it_says_what_to_install(bare):
    done = bare()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no python2.7 or python2 on PATH" in done.stdout
    assert "no docker on PATH" in done.stdout and "no podman on PATH" in done.stdout
    assert "pyenv install 2.7.18" in done.stdout and "PYTHON27=" in done.stdout and "Docker or Podman" in done.stdout
    assert "start" not in done.stdout and not done.stderr


def test_what_is_there_and_of_no_use_is_named(bare):
    done = bare([("docker", "echo no daemon here >&2; exit 1"), ("python2.7", "exit 127")], PYTHON27=sys.executable)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{sys.executable}: is CPython 3." in done.stdout
    assert "python2.7: does not run" in done.stdout
    assert "docker: is not running: no daemon here" in done.stdout


def test_a_python_is_asked_what_it_is():
    assert ask(sys.executable) == ("", "is CPython {}.{}.{}".format(*sys.version_info))
    version, trouble = ask("/nowhere/python2.7")
    assert not version and "does not run" in trouble


class HangingSuite(Suite):
    """Begins with a case, and hangs."""

    label = "a suite that hangs"
    text = (
        "import os, time; print(f'PID {os.getpid()}'); "
        "print('Ok, will run 3 test cases'); print('Running test case ID 1.1.1 for agent a'); "
    )

    def __init__(self, then="time.sleep(60)"):
        self._command = [sys.executable, "-u", "-c", self.text + then]

    def fuzzing_client(self, name, folder, spec):
        assert json.loads((folder / spec).read_text())["cases"] == ["1.*"]
        return self._command

    def fuzzing_server(self, name, folder, spec, port):
        raise AssertionError("for clients only")


def follow(run):
    run.start()
    try:
        deadline = time.monotonic() + 40
        while not run.follow():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        run.stop()
    pid = int(run.suite_log.read_text().split()[1])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    return run.outcome()


def mode_run(suite, folder, limit):
    mode = next(mode for mode in MODES if mode.name == "sock")  # needs no web server
    return ModeRun(mode, suite, folder, ["1.*"], [], limit)


def test_a_mode_over_its_limit_is_ended_and_its_case_named(tmp_path):
    outcome = follow(mode_run(HangingSuite(), tmp_path, 3.0))
    assert outcome.problems[0] == "ended after 3 s, while running case 1.1.1 (1 of 3)"
    assert not outcome.good and outcome.counts.not_run == 3


def test_a_suite_that_dies_is_not_taken_for_good(tmp_path):
    outcome = follow(mode_run(HangingSuite("raise SystemExit(3)"), tmp_path, 30.0))
    assert outcome.problems[0] == "the suite ended with status 3 while running case 1.1.1"
    assert not outcome.good


def test_a_traceback_of_the_library_is_a_problem(tmp_path):
    report = SAMPLE.replace('"sample"', '"sock"')
    then = f"import pathlib; pathlib.Path('report').mkdir(); pathlib.Path('report/index.json').write_text({report!r}); "
    fine = follow(mode_run(HangingSuite(then), tmp_path / "fine", 30.0))
    assert fine.counts.ran == 6 and not fine.problems
    then += "pathlib.Path('library.log').open('a').write('Traceback (most recent call last):')"
    assert follow(mode_run(HangingSuite(then), tmp_path / "raised", 30.0)).problems == [
        "an exception nobody caught; see library.log"
    ]
