"""The world of the simulation: the cases of tests/cases on its scheduler, its clock and its network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support import leaks
from tests.support.world import World

from . import preemption
from .machine import Machine
from .network import Network, Weather
from .primitives import Lock
from .scheduler import Scheduler
from .users import Interruption

#: A choice costs what a system call does, or the cases that do something for a second would do it a million times.
TICK = 1e-5

__all__ = ["Complaints", "SimulatedWorld"]


class SimulatedWorld(World):
    """A world in one machine.

    :param seed: decides what happens.
    :param threads: whether it is like a process of native threads; else like one of greenlets.
    :param weather: what the network does.
    :param gap: preempt after so many statements, in the mean; 0 for never.
    """

    name = "simulation"
    interruptions = (KeyboardInterrupt, Interruption)

    def __init__(self, seed: int, threads: bool, weather: Weather, gap: int) -> None:
        super().__init__()
        self.scheduler = Scheduler(seed, limit=5_000_000, tick=TICK)
        self.clock = self.scheduler.clock  # type: ignore[assignment]
        self.machine = Machine(self.scheduler, Network(self.scheduler, weather), threads=threads)
        self.event = self.machine.backend.event_class  # type: ignore[assignment]
        self.make_socket = self.machine.socket  # type: ignore[assignment]
        self.thread_class = self.machine.backend.thread_class
        self.event_class = self.machine.backend.event_class
        self.selector_class = self.machine.backend.selector_class
        preemption.begin(self.scheduler, gap)

    @property
    def options(self) -> dict[str, Any]:
        return {"backend": self.machine.backend}

    def start(self, function: Callable[[], None]) -> Any:
        return self.scheduler.spawn(function)

    def sleep(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)

    def lock(self) -> Lock:
        return Lock(self.scheduler)

    def readable(self, sock: Any, timeout: float) -> bool:
        self.scheduler.pause()
        return bool(sock.wait_until(lambda: sock.readable, timeout, f"{sock}"))

    def writable(self, sock: Any, timeout: float) -> bool:
        self.scheduler.pause()
        return bool(sock.wait_until(lambda: sock.writable, timeout, f"{sock}"))

    def server_socket(self, sock: Any) -> Any:
        sock.setblocking(True)
        return sock

    @contextmanager
    def interrupting(self, seconds: float, error: type[BaseException]) -> Iterator[None]:
        over = False
        task = self.scheduler.current

        def interrupt() -> None:
            if not over:
                self.scheduler.throw(task, error())

        self.scheduler.at(self.scheduler.now + seconds, interrupt)
        try:
            yield
        finally:
            over = True
            task.interrupt = None

    def assert_nothing_is_left(self) -> None:
        """No descriptor, no task, no connection in the keeper's care."""
        self.until(lambda: not self.machine.descriptors, 5.0, f"descriptors: {self.machine.descriptors}")
        self.until(lambda: not self.scheduler.tasks, 5.0, "the end of every task")
        assert not self.scheduler.crashed, [task.error for task in self.scheduler.crashed]
        assert not self.machine.keeper._links

    # What tests/support/leaks.py finds in a real process

    def replace_leaks(self, monkeypatch: Any) -> None:
        def greenlets() -> list[Any]:
            return [task.greenlet for task in self.scheduler.tasks]

        def keepers() -> list[Any]:
            return [greenlet for greenlet in greenlets() if leaks._keeps(greenlet.gr_frame)]

        monkeypatch.setattr(leaks, "descriptors", lambda: {fd: str(what) for fd, what in self.machine.descriptors.items()})
        monkeypatch.setattr(leaks, "threads", lambda: set(self.scheduler.tasks))
        monkeypatch.setattr(leaks, "greenlets", greenlets)
        monkeypatch.setattr(leaks, "keepers", keepers)


class Complaints(logging.Handler):
    """What the package logs: a connection that failed while the keeper looked after it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))

    def __enter__(self) -> Complaints:
        logging.getLogger("simple_websocket").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("simple_websocket").removeHandler(self)
