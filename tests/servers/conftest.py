"""Fixtures: every server of the table as a running process, each started once, and its log looked at after each test."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme

from demo.process import ServerProcess
from simple_websocket import Client

from .entries import ENTRIES, GUNICORN_25, Entry
from .raw import RawClient

# What a server's log must not contain, whoever wrote it.
TROUBLE = re.compile(
    r"Traceback|\b\w*Error\b|\b\w*Exception\b|\[(ERROR|CRITICAL|WARNING)\]|malformed|Bad request (syntax|version)"
)


class Certificates:
    """A certificate for 127.0.0.1 in two files, and a client's context that trusts it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        self.files = (str(folder / "certificate.pem"), str(folder / "key.pem"))
        issued.private_key_pem.write_to_path(self.files[1])
        for number, part in enumerate(issued.cert_chain_pems):
            part.write_to_path(self.files[0], append=number > 0)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


class Running:
    """One server of the table, running."""

    def __init__(self, entry: Entry, process: ServerProcess) -> None:
        self.entry = entry
        self._process = process
        self._read = len(process.read_log())  # what a server says about itself at the start is its own business
        self.port = process.port
        self.pid = process.pid
        self.http = process.http
        self.log_tail = process.log_tail

    def connect(self, path: str, **options: Any) -> Client:
        """Connect the real client."""
        return Client.connect(self._process.url(path), ssl_context=self._process.tls, **options)

    def raw(self, path: str, first: bytes = b"") -> RawClient:
        """Connect a client of bytes."""
        return RawClient(self.port, path, self._process.tls, first)

    def get(self, path: str) -> str:
        """Ask with plain HTTP."""
        connection = self.http()
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == 200, f"{response.status} {body}"
            return body
        finally:
            connection.close()

    def ended(self, name: str, within: float = 3.0) -> int | None:
        """How the request of this name ended, once the server is done with it."""
        deadline = time.monotonic() + within
        while (answer := json.loads(self.get(f"/ended?id={quote(name)}"))) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"the server is not done with the request {within:g} s later")
            time.sleep(0.01)
        return answer[0]

    def trouble(self) -> list[str]:
        """Lines of the log since the last call that tell of trouble, each with its neighbourhood."""
        text = self._process.read_log()
        new, self._read = text[self._read :].splitlines(), len(text)
        marked = [number for number, line in enumerate(new) if TROUBLE.search(line)]
        return new[max(0, marked[0] - 10) : marked[-1] + 11] if marked else []


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def run(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Entry], ServerProcess]:
    """Make a server process for an entry of the table."""

    def make(entry: Entry) -> ServerProcess:
        environment = {}
        if entry.old_gunicorn:
            if not (GUNICORN_25 / "gunicorn").is_dir():
                pytest.fail(
                    f"gunicorn 25, for its eventlet worker, is not in {GUNICORN_25}. `make test` puts it there; or:\n"
                    f"pip install --no-deps --target {GUNICORN_25} 'gunicorn>=25,<26'"
                )
            environment["PYTHONPATH"] = str(GUNICORN_25)
        log = tmp_path_factory.mktemp("server") / f"{entry.name}.log"
        tls = certificates.client if entry.tls else None
        return ServerProcess(entry.name, lambda port: entry.command(port, certificates.files), log, environment, tls)

    return make


@pytest.fixture(scope="session", params=ENTRIES, ids=lambda entry: entry.name)
def started(request: pytest.FixtureRequest, run: Callable[[Entry], ServerProcess]) -> Iterator[Running]:
    with run(request.param) as process:
        running = Running(request.param, process)
        yield running
        left = running.trouble()  # what came late
        assert not left, f"trouble in the log of {request.param.name}, after its tests:\n" + "\n".join(left)


@pytest.fixture
def server(started: Running) -> Iterator[Running]:
    """A server of the table. A test that leaves trouble in its log fails."""
    left = started.trouble()
    assert not left, f"trouble in the log of {started.entry.name}, after the tests before:\n" + "\n".join(left)
    yield started
    # What an earlier request leaves behind is written by the time a later one is answered, but for threads that lag behind.
    started.get("/")
    left = started.trouble()
    assert not left, f"trouble in the log of {started.entry.name}:\n" + "\n".join(left)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    running = getattr(item, "funcargs", {}).get("started")
    if report.failed and isinstance(running, Running):
        report.sections.append(("server", running.log_tail(40)))
    return report
