"""Fixtures: every server of the tables with this suite's application, each started once, its log looked at after each test."""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from demo.process import ServerProcess
from tests.servers.conftest import Running as WebServer
from tests.servers.conftest import certificates, pytest_runtest_makereport, run

from .entries import Entry

__all__ = ["certificates", "pytest_runtest_makereport", "run"]

PATIENCE = 10.0  # seconds

# python-engineio's client leaves a socket to the collector when its two threads end a connection at the same moment,
# and aiohttp's session its TLS transport.
LEFT_BEHIND = "unclosed (<ssl.SSLS|<socket.s|transport)"


class Running(WebServer):
    """One server of the tables, running."""

    entry: Entry

    @property
    def tls(self) -> ssl.SSLContext | None:
        """For clients, on TLS."""
        return self._process.tls

    def wait_until_idle(self) -> None:
        """Wait until the application has returned from every WebSocket request that is this project's."""
        eventually(lambda: self.get("/running") == "0", "the application still has WebSocket requests")


def eventually(condition: Callable[[], Any], complaint: str, within: float = PATIENCE) -> Any:
    """Return the first true value of a condition."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{complaint}, {within:g} s later"
        time.sleep(0.01)
    return value


def pytest_configure(config: pytest.Config) -> None:
    """The collector comes in tests, between them and behind the last, where marks of the tests would not count."""
    config.addinivalue_line("filterwarnings", f"ignore:{LEFT_BEHIND}:ResourceWarning")
    warnings.filterwarnings("ignore", LEFT_BEHIND, ResourceWarning)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All modules' tests of a server one after the other, so that it is started once."""
    places = {number: entry for number, item in enumerate(items) if (entry := _entry_of(item))}
    order = {entry: number for number, entry in reversed(list(enumerate(places.values())))}
    sorted_items = [items[number] for number in sorted(places, key=lambda number: order[places[number]])]
    for number, item in zip(places, sorted_items, strict=True):
        items[number] = item


def _entry_of(item: pytest.Item) -> Entry | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("started") if callspec and isinstance(callspec.params.get("started"), Entry) else None


@pytest.fixture(scope="session")
def started(request: pytest.FixtureRequest, run: Callable[[Entry], ServerProcess]) -> Iterator[Running]:
    with run(request.param) as process:
        running = Running(request.param, process)
        yield running
        left = running.trouble()  # what came late
        assert not left, f"trouble in the log of {request.param.name}, after its tests:\n" + "\n".join(left)


@pytest.fixture
def server(started: Running) -> Iterator[Running]:
    """A server of the table. A test that leaves trouble in its log, or a request that does not end, fails."""
    yield started
    started.wait_until_idle()
    started.get("/")
    left = started.trouble()
    assert not left, f"trouble in the log of {started.entry.name}:\n" + "\n".join(left)
