"""A time limit for every test, and a record of what ran.

The limit is faulthandler's timer, a C thread: it fires when a lock is held, when threading is monkey-patched and when
a hub is stuck. It writes the stacks to stderr and ends the process. `@pytest.mark.limit(seconds)` changes it.

If TEST_EVENTS names a file, one line of JSON per event goes there as it happens (collected, start, outcome, end),
so that scripts/run_tests.py can count the results and name the test that was running when the process died.
"""

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import pytest

LIMIT = 60.0
EXIT_LIMIT = 30.0  # from the last test to the end of the process

# Who started the tests in the background may have had Ctrl-C ignored, and the programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Branch coverage is not measured here: where the processor is what is being tested; where interrupts would leave the lock of the
# measuring taken; and in the comparison with wsproto, which reaches nothing that the other tests do not reach and would take
# twice as long.
UNMEASURED = (
    "tests.asyncio.test_limits",
    "tests.cases.limits",
    "tests.cases.interrupting",
    "tests.threading.test_interrupts",
    "tests.protocol.test_oracle",
)

_stderr: int = -1
_events: TextIO | None = None


def _tell(**event: Any) -> None:
    if _events is not None:
        _events.write(json.dumps(event) + "\n")
        _events.flush()


def _arm(seconds: float) -> None:
    faulthandler.dump_traceback_later(seconds, exit=True, file=_stderr)


def _limit_of(item: pytest.Item) -> float:
    marker = item.get_closest_marker("limit")
    if marker is None:
        return LIMIT
    if len(marker.args) != 1 or marker.kwargs or not marker.args[0] > 0:
        raise pytest.UsageError(f"{item.nodeid}: limit takes one positive number of seconds")
    return float(marker.args[0])


def pytest_configure(config: pytest.Config) -> None:
    global _stderr, _events
    # While pytest captures, descriptor 2 is its temporary file, and what is in there is lost when the process dies.
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        _stderr = os.dup(2)
    if path := os.environ.get("TEST_EVENTS"):
        _events = open(path, "a", encoding="utf-8")


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in session.items:
        _limit_of(item)
    _tell(event="collected", count=len(session.items))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _tell(event="outcome", test=report.nodeid, outcome="failed", when="collect")
    elif report.skipped:
        _tell(event="outcome", test=report.nodeid, outcome="skipped", when="collect", reason=_reason(report))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    _tell(event="start", test=item.nodeid)
    _arm(_limit_of(item))
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
        _tell(event="end", test=item.nodeid)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Any:
    # pytest's own faulthandler plugin stops the timer when a test fails; the fixtures' clean-up can hang all the same.
    _arm(_limit_of(item))
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # One outcome per phase that decides something; a failed teardown after a passed call makes two, and failed counts.
    if report.failed or report.skipped or report.when == "call":
        _tell(event="outcome", test=report.nodeid, outcome=report.outcome, when=report.when, reason=_reason(report))


def pytest_unconfigure() -> None:
    global _events
    # A thread that is not a daemon, or a hub that never ends, would keep the process here for ever.
    _tell(event="finished")
    _arm(EXIT_LIMIT)
    if _events is not None:
        _events.close()
        _events = None


def _reason(report: Any) -> str:
    if not report.skipped:
        return ""
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}"
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.fixture(autouse=True)
def measuring(request: pytest.FixtureRequest) -> Iterator[None]:
    """Pause the measuring of branch coverage where it would be in the way."""
    coverage = sys.modules.get("coverage")
    function = getattr(request.node, "function", None)
    current = coverage.Coverage.current() if coverage is not None and function is not None else None
    paused = current is not None and function.__module__ in UNMEASURED
    if paused:
        current.stop()
    yield
    if paused:
        current.start()
