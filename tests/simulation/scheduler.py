"""The scheduler: greenlets, a virtual clock, and a seeded choice of who runs next.

Every primitive calls `pause` before it does anything, and `park` where it has to wait.  Time passes when nobody can run, and a
little with every choice.  When nobody can run and nothing is due, that is a deadlock, and the main task is told.

There is one native thread, so nothing here needs a lock.
"""

from __future__ import annotations

import heapq
import random
import traceback
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

__all__ = ["Deadlock", "Livelock", "Scheduler", "Task"]

START = 1000.0


class Deadlock(AssertionError):
    """Nobody can run, nothing is due, and somebody has not ended."""


class Livelock(AssertionError):
    """So many choices that somebody must be running in circles."""


class Task:
    """A thread of the simulation."""

    __slots__ = ("call", "error", "finished", "greenlet", "interrupt", "name", "parked", "token", "waits_for", "woken")

    def __init__(self, name: str, call: Callable[[], Any]) -> None:
        self.name = name
        self.call = call
        self.greenlet: Any = None
        self.parked = False
        self.woken = False
        self.finished = False
        self.token = 0  # counts the times it was parked, so that an old timer does not end a new wait
        self.waits_for: Any = None
        self.interrupt: BaseException | None = None
        self.error: BaseException | None = None


class Scheduler:
    """Runs tasks, one at a time.  Whoever makes it is its main task.

    :param seed: decides who runs when.
    :param stall: probability that a task is held up for a moment where another one could run.
    :param limit: choices after which it is a livelock.
    :param trace: whether to note what happens.
    :param tick: seconds that a choice costs, so that a task which only looks at the clock in a loop sees it move.
    """

    def __init__(self, seed: Any = 0, stall: float = 0.0, limit: int = 10**9, trace: bool = False, tick: float = 1e-6) -> None:
        self.random = random.Random(seed)
        self.now = START
        self.steps = 0
        self.stalled = 0.0  # seconds for which tasks were held up, all together
        self._held: dict[Task, float] = {}  # those who are, and until when
        self.dead = False
        self.notes: list[str] | None = [] if trace else None
        self.crashed: list[Task] = []
        #: Called once, in the middle of what some task is doing, where it is preempted.
        self.surprise: Callable[[], Any] | None = None
        self.tasks: dict[Task, None] = {}  # not finished, in the order in which they were made
        self._dice = self.random.random
        self._stall = stall
        self._tick = tick
        self._limit = limit
        self._ready: list[Task] = []
        self._timers: list[tuple[float, int, Any, int]] = []
        self._count = 0
        self.main = self.current = Task("main", lambda: None)
        self.main.greenlet = getcurrent()

    def clock(self) -> float:
        return self.now

    def spawn(self, call: Callable[[], Any], name: str = "") -> Task:
        """Make a task; it runs when it is chosen."""
        self._count += 1
        task = Task(name or f"task {self._count}", call)
        task.greenlet = greenlet(lambda *_: self._run(task), self.main.greenlet)
        self.tasks[task] = None
        self._ready.append(task)
        return task

    def at(self, when: float, action: Callable[[], Any]) -> None:
        """Call something at a time; it must not wait."""
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, action, 0))

    def note(self, what: str) -> None:
        if self.notes is not None:
            self.notes.append(f"{self.now - START:12.6f}  {self.current.name:<14} {what}")

    # Where it is chosen who runs

    def pause(self, interruptible: bool = False) -> None:
        """Let somebody else run first, perhaps.

        :param interruptible: whether an exception from outside may be raised here.
        """
        if self.dead:
            return
        self.steps += 1
        self.now += self._tick
        if self._timers and self._timers[0][0] <= self.now:
            self._fire()
        if self.steps > self._limit:
            self._tell_main(Livelock(f"{self.steps} choices are too many\n{self.describe()}"))
        ready = self._ready
        if ready:
            chosen = int(self._dice() * (len(ready) + 1))
            if chosen < len(ready):
                me = self.current
                if self._stall and self._dice() < self._stall:
                    self._hold_up(me)
                else:
                    task, ready[chosen] = ready[chosen], me
                    self.current = task
                    task.greenlet.switch()
        me = self.current
        if me.interrupt is not None and (interruptible or isinstance(me.interrupt, AssertionError)):
            self._raise_interrupt(me)

    def park(self, deadline: float | None = None, waits_for: Any = None) -> bool:
        """Wait until `wake` is called, or until a time; return whether it was called."""
        if self.dead:
            raise GreenletExit
        me = self.current
        if me.interrupt is not None:
            self._raise_interrupt(me)
        me.parked, me.woken = True, False
        me.token += 1
        if deadline is not None:
            self._count += 1
            heapq.heappush(self._timers, (deadline, self._count, me, me.token))
        me.waits_for = waits_for
        self._leave()
        me.waits_for = None
        if me.interrupt is not None:
            self._raise_interrupt(me)
        return me.woken

    def sleep(self, seconds: float) -> None:
        """Park the caller for so long."""
        self.pause(True)
        if seconds > 0:
            self.park(self.now + seconds, "the end of its sleep")

    def wake(self, task: Task) -> None:
        if task.parked:
            task.parked, task.woken = False, True
            self._ready.append(task)

    def throw(self, task: Task, error: BaseException) -> None:
        """Raise an error in a task, where it waits now or at its next primitive that may be interrupted."""
        if task.finished:
            return
        self.note(f"{type(error).__name__} for {task.name}")
        task.interrupt = error
        self.wake(task)

    def _raise_interrupt(self, task: Task) -> None:
        error, task.interrupt = task.interrupt, None
        assert error is not None
        self.note(f"raises {type(error).__name__}")
        try:
            raise error
        finally:
            del error  # whose traceback has this frame, and so everything that is used above it

    def _hold_up(self, me: Task) -> None:
        """A task that is not run for a while, though it could be: a busy machine."""
        seconds = self._dice() ** 3 * 0.3
        self.stalled += seconds
        self._held[me] = self.now + seconds
        self.at(self.now + seconds, lambda: self._ready.append(me))
        self._leave()
        del self._held[me]

    @property
    def stalled_before(self) -> float:
        """Seconds for which tasks have been held up, without those that are still to come."""
        return self.stalled - sum(max(0.0, until - self.now) for until in self._held.values())

    def _leave(self) -> None:
        """Run somebody; return when the caller, which is not ready, has been made so and is chosen."""
        me = self.current
        task = self._next()
        if task is not me:
            self.current = task
            task.greenlet.switch()

    def _next(self) -> Task:
        ready, timers = self._ready, self._timers
        while True:
            if timers and timers[0][0] <= self.now:
                self._fire()
            if ready:
                chosen = int(self._dice() * len(ready))
                task, ready[chosen] = ready[chosen], ready[-1]
                ready.pop()
                return task
            if not timers:
                self._tell_main(Deadlock(f"nobody can run\n{self.describe()}"))
                continue
            self.now = max(self.now, timers[0][0])

    def _fire(self) -> None:
        """Do what is due."""
        timers, now = self._timers, self.now
        while timers and timers[0][0] <= now:
            _, _, what, token = heapq.heappop(timers)
            if type(what) is not Task:
                what()
            elif what.parked and what.token == token:
                what.parked = False
                self._ready.append(what)

    # Tasks

    def _run(self, task: Task) -> None:
        try:
            task.call()
        except GreenletExit:
            pass
        except BaseException as error:
            task.error = error
            self.crashed.append(task)
        task.finished = True
        self.tasks.pop(task, None)
        if self.dead:
            return
        following = self._next()
        self.current = following
        task.greenlet.parent = following.greenlet  # where a greenlet goes that ends

    def _tell_main(self, error: BaseException) -> None:
        """Raise an error in the main task, now."""
        if self.current is self.main:
            raise error
        main = self.main
        if main.parked:
            main.parked = False
        elif main in self._ready:
            self._ready.remove(main)
        main.interrupt = error
        if self.current.finished:  # called by a task's last breath
            self._ready.append(main)
            return
        if self.current not in self._ready and not self.current.parked:
            self._ready.append(self.current)
        self.current = main
        main.greenlet.switch()

    def describe(self) -> str:
        """What every task that has not ended is doing."""
        lines = []
        for task in [self.main, *self.tasks]:
            state = f"waits for {task.waits_for}" if task.parked else "can run"
            lines.append(f"  {task.name}: {state}")
            frame = task.greenlet.gr_frame
            if frame is not None:
                for at in traceback.extract_stack(frame):
                    if "/scheduler.py" not in at.filename:
                        lines.append(f"      {'/'.join(at.filename.split('/')[-2:])}:{at.lineno} in {at.name}: {at.line}")
        return "\n".join(lines)

    def end(self) -> None:
        """End what has not ended, without any more choices."""
        self.dead = True
        for task in list(self.tasks):
            task.greenlet.parent = getcurrent()
            self.current = task
            for _ in range(100):
                if task.finished or not task.greenlet:
                    break
                task.greenlet.throw(GreenletExit)
        self.current = self.main
        self._ready.clear()
        self._timers.clear()
        self.tasks.clear()
