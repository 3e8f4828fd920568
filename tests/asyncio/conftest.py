"""Runs each `async def` test on asyncio's own loop and on uvloop, and looks at what it left behind.

A test fails when it leaves a task, a descriptor, a warning in a log or an exception that nobody got.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from simple_websocket import aiooutbound, aiowaiting
from tests.asyncio.stage import Stage, Tls

try:
    import uvloop
except ImportError:  # does not exist for every platform
    uvloop = None

LIMIT = 45.0  # before the time limit of tests/conftest.py, which ends the process


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function):
        without = pytest.mark.skipif(uvloop is None, reason="uvloop is not installed")
        metafunc.fixturenames.append("loop_kind")
        metafunc.parametrize("loop_kind", ["asyncio", pytest.param("uvloop", marks=without)])
    if metafunc.module.__name__.rpartition(".")[2] in ("test_receive", "test_cancel", "test_turns", "test_flow"):
        built = pytest.mark.skipif(aiowaiting.Receiver is None, reason="not built here")
        metafunc.fixturenames.append("language")
        metafunc.parametrize("language", ["in-python", pytest.param("in-c", marks=built)])


@pytest.fixture(autouse=True)
def _language(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With or without what is done in C: a future that has its task go on at once, and sending."""
    if hasattr(request.node, "callspec") and request.node.callspec.params.get("language") == "in-python":
        monkeypatch.setattr(aiowaiting, "Receiver", None)
        monkeypatch.setattr(aiooutbound, "send_message", None)


def pytest_configure(config: pytest.Config) -> None:
    # A socket that is closed while uvloop refers to it stays open until uvloop lets go; the collector may come in between.
    # Whether descriptors are left is looked at after each test (`run`).
    config.addinivalue_line("filterwarnings", r"ignore:unclosed <socket\.socket \[closed\]:ResourceWarning")
    # Python 3.10 says so about the server's side of a TLS handshake that its client gives up. That the socket is closed is
    # looked at here all the same.
    if sys.version_info < (3, 11):
        config.addinivalue_line("filterwarnings", "ignore:unclosed transport <asyncio.sslproto:ResourceWarning")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    run(pyfuncitem.callspec.params["loop_kind"], pyfuncitem.obj, arguments)
    return True


def run(loop_kind: str, function: Any, arguments: dict[str, Any]) -> None:
    sockets = _sockets()
    trouble: list[Any] = []
    log = _Log(trouble)
    logging.getLogger().addHandler(log)
    loop = uvloop.new_event_loop() if loop_kind == "uvloop" else asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: trouble.append(context))
    try:
        loop.run_until_complete(asyncio.wait_for(_run(function, arguments), LIMIT))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
        logging.getLogger().removeHandler(log)
    stage = arguments.get("stage")
    trouble = [one for one in trouble if not (stage is not None and stage.forgives(str(one)))]
    assert not trouble, trouble
    assert not _sockets() - sockets, "sockets are left open"


async def _run(function: Any, arguments: dict[str, Any]) -> None:
    sockets = _sockets()  # the loop's own are among them
    stage = arguments.get("stage")
    try:
        await function(**arguments)
    finally:
        if stage is not None:
            await stage.aclose()
    await nothing_left(sockets)


async def nothing_left(sockets: set[str]) -> None:
    """Wait until only the test's own tasks are left, and these sockets."""
    by = asyncio.get_running_loop().time() + 5
    while left := [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ not in ("_run", "wait_for")]:
        assert asyncio.get_running_loop().time() < by, left
        await asyncio.sleep(0.002)
    while _sockets() - sockets:
        if asyncio.get_running_loop().time() > by:
            return  # the loop's own are closed with it
        await asyncio.sleep(0.002)


def _sockets() -> set[str]:
    """The sockets that this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            what = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
        if what.startswith("socket:"):
            found.add(what)
    return found


class _Log(logging.Handler):
    """Notes warnings and worse."""

    def __init__(self, records: list[Any]) -> None:
        super().__init__(logging.WARNING)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record.getMessage())


@pytest.fixture(scope="session", autouse=sys.version_info < (3, 11))
def last_garbage() -> Iterator[None]:
    """Collect it where the filter above holds, which it does not at pytest's end."""
    yield
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed transport <asyncio.sslproto", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    authority = trustme.CA()
    return Tls(authority)


@pytest.fixture
def stage(tls: Tls) -> Iterator[Stage]:
    yield Stage(tls)
