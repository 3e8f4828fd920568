"""Lock, event and thread of the simulation, as the standard library has them; at each call somebody else may run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .scheduler import Scheduler, Task

__all__ = ["Event", "Lock", "Thread"]


class Lock:
    """As `threading.Lock`: whoever comes first after it was let go has it, not whoever waited longest."""

    __slots__ = ("_holder", "_scheduler", "_waiting")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._holder: Task | None = None
        self._waiting: list[Task] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        scheduler = self._scheduler
        scheduler.pause(True)
        if self._holder is None:
            self._holder = scheduler.current
            return True
        if not blocking or timeout == 0:
            return False
        deadline = None if timeout is None or timeout < 0 else scheduler.now + timeout
        me = scheduler.current
        while self._holder is not None:
            self._waiting.append(me)
            try:
                woken = scheduler.park(deadline, self)
            finally:
                if me in self._waiting:
                    self._waiting.remove(me)
            if not woken and self._holder is not None:
                return False
        self._holder = me
        return True

    def release(self) -> None:
        scheduler = self._scheduler
        if self._holder is None and not scheduler.dead:
            raise RuntimeError("release of a lock that nobody has")
        self._holder = None
        for task in self._waiting:
            scheduler.wake(task)
        self._waiting.clear()
        scheduler.pause()

    def locked(self) -> bool:
        return self._holder is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __str__(self) -> str:
        return f"a lock that {'nobody' if self._holder is None else self._holder.name} holds"


class Event:
    """As `threading.Event`."""

    __slots__ = ("_scheduler", "_set", "_waiting")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._set = False
        self._waiting: list[Task] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._scheduler.pause()
        self._set = True
        for task in self._waiting:
            self._scheduler.wake(task)
        self._waiting.clear()

    def clear(self) -> None:
        self._scheduler.pause()
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        scheduler = self._scheduler
        scheduler.pause(True)
        deadline = None if timeout is None else scheduler.now + timeout
        me = scheduler.current
        while not self._set:
            self._waiting.append(me)
            try:
                woken = scheduler.park(deadline, "an event")
            finally:
                if me in self._waiting:
                    self._waiting.remove(me)
            if not woken:
                break
        return self._set


class Thread:
    """As `threading.Thread`."""

    def __init__(self, scheduler: Scheduler, target: Callable[..., Any], args: Any = (), kwargs: Any = None) -> None:
        self._scheduler = scheduler
        self._call = target, args, kwargs or {}
        self.daemon = False
        self.task: Task | None = None

    def start(self) -> None:
        target, args, kwargs = self._call
        name = getattr(target, "__qualname__", "thread").partition(".")[0].lower()
        self.task = self._scheduler.spawn(lambda: target(*args, **kwargs), name)
        self._scheduler.pause()
