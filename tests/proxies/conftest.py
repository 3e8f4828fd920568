"""Fixtures: the application, the proxies in front of it with their documented configuration, and a client's way in."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from demo.process import ServerProcess
from simple_websocket import Client
from tests.servers.conftest import TROUBLE, Certificates
from tests.servers.raw import RawClient

from .processes import KINDS, Application, NoProgram, Proxy

P = TypeVar("P", bound=ServerProcess)

# What a proxy says when something is wrong with its configuration or with what it got.
PROXY_TROUBLE = re.compile(r"\[(warn|error|crit|alert|emerg)\]|\[(WARNING|ALERT)\]")


@dataclass
class Front:
    """A client's way in: one proxy, plain or TLS."""

    application: Application
    proxy: Proxy
    tls: bool

    @property
    def base(self) -> str:
        scheme, port = self.proxy.address(self.tls)
        return f"{scheme}://127.0.0.1:{port}"

    def connect(self, path: str, **options: Any) -> Client:
        context = self.proxy.certificates.client if self.tls else None
        return Client.connect(self.base + path, ssl_context=context, **options)

    def raw(self, path: str) -> RawClient:
        context = self.proxy.certificates.client if self.tls else None
        return RawClient(self.proxy.address(self.tls)[1], path, context)

    def http(self) -> http.client.HTTPConnection:
        port = self.proxy.address(self.tls)[1]
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=self.proxy.certificates.client)
        return http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    def ended(self, name: str, within: float) -> int:
        """Close code with which the WebSocket of this name ended at the application."""
        deadline = time.monotonic() + within
        while True:
            connection = self.application.http()  # not through the proxy: its log is about the WebSocket alone
            try:
                connection.request("GET", f"/ended?id={name}")
                code = json.loads(connection.getresponse().read())
            finally:
                connection.close()
            if code is not None:
                return int(code)
            assert time.monotonic() < deadline, f"the application does not know {within:g} s later that it is over"
            time.sleep(0.02)


class Log:
    """What a process writes from now on."""

    def __init__(self, process: ServerProcess, trouble: re.Pattern[str]) -> None:
        self._process = process
        self._trouble = trouble
        self._start = len(process.read_log())

    def check(self) -> None:
        new = self._process.read_log()[self._start :]
        assert not self._trouble.search(new), f"trouble in the log of {self._process.name}:\n{new}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with Application(tmp_path_factory.mktemp("application"), ["-k", "gthread", "--threads", "32"]) as process:
        yield process


@pytest.fixture(scope="session")
def make_proxy(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Callable[..., Proxy]:
    def make(kind: str, *addresses: str, idle: float | None = None) -> Proxy:
        try:
            return Proxy(kind, tmp_path_factory.mktemp(kind), addresses, certificates, idle)
        except NoProgram as error:
            pytest.fail(str(error), pytrace=False)

    return make


@pytest.fixture(scope="session", params=KINDS)
def proxy(request: pytest.FixtureRequest, application: Application, make_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    with make_proxy(request.param, application.address) as process:
        yield process


@pytest.fixture(params=[False, True], ids=["ws", "wss"])
def front(request: pytest.FixtureRequest, application: Application, proxy: Proxy) -> Iterator[Front]:
    """The way in through each proxy. A test that leaves trouble in a log fails."""
    logs = [Log(application, TROUBLE), Log(proxy, PROXY_TROUBLE)]
    yield Front(application, proxy, request.param)
    for log in logs:
        log.check()


@pytest.fixture(params=[False, True], ids=["ws", "wss"])
def unruly_front(request: pytest.FixtureRequest, application: Application, proxy: Proxy) -> Iterator[Front]:
    """The same for requests of which gunicorn and the proxy may complain, on their own behalf."""
    log = Log(application, re.compile("Traceback"))
    yield Front(application, proxy, request.param)
    log.check()


class Runner:
    """Starts processes for one test, and ends them when it is over."""

    def __init__(self, stack: ExitStack) -> None:
        self.started: list[ServerProcess] = []
        self._stack = stack

    def __call__(self, process: P) -> P:
        self.started.append(process)
        self._stack.enter_context(process)
        return process


@pytest.fixture
def run() -> Iterator[Runner]:
    with ExitStack() as stack:
        yield Runner(stack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        for thing in getattr(item, "funcargs", {}).values():
            processes = thing.started if isinstance(thing, Runner) else [thing]
            for process in processes:
                if isinstance(process, ServerProcess):
                    report.sections.append((process.name, process.log_tail(40)))
    return report
