"""Those who use a connection: each follows its steps, and what it calls, what came of it and how long it took is written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from simple_websocket import ConnectionClosed

from .plan import Side, Step
from .scheduler import Scheduler, Task

__all__ = ["Call", "Interruption", "Ledger", "User"]

TEXTURE = "words and words, and some more words; "


class Interruption(BaseException):
    """An exception from outside: Ctrl-C, a greenlet that is killed, a timeout around a call."""


@dataclass
class Call:
    """One call of a method."""

    who: str
    what: str
    started: float
    stalled: float  # what the scheduler had held tasks up for, until then
    timeout: float | None = None
    ended: float | None = None
    outcome: str = "goes on"  # then "ok", "none", "closed", "interrupted", "refused"


@dataclass
class Ledger:
    """What was done with one connection."""

    side: Side
    calls: list[Call] = field(default_factory=list)
    sent: dict[str | bytes, Call] = field(default_factory=dict)
    #: (who, message), in the order in which they were handed out.
    received: list[tuple[str, str | bytes]] = field(default_factory=list)
    closed_here: bool = False
    failure: tuple[int, str] | None = None  # with which this side failed it
    interrupted: int = 0
    problems: list[str] = field(default_factory=list)

    def problem(self, what: str) -> None:
        self.problems.append(what)


class User:
    """A thread of an application.

    :param holder: where the connection is, until it is dropped: a list of one.
    """

    def __init__(self, scheduler: Scheduler, ledger: Ledger, name: str, steps: list[Step], ws: Any) -> None:
        self.scheduler = scheduler
        self.ledger = ledger
        self.name = name
        self.task: Task | None = None
        self._steps = steps
        self._ws = ws
        self._count = 0

    def run(self) -> None:
        """Follow the steps, until the connection has ended."""
        try:
            for step in self._steps:
                if not self.do(step):
                    break
        except Interruption:
            self.ledger.interrupted += 1  # between two calls, or while sleeping
        except Exception as error:
            self.ledger.problem(f"{self.name}: {type(error).__name__} out of {step}: {error}")
        finally:
            del self._ws

    def do(self, step: Step) -> bool:
        """Do one step; return whether to go on."""
        what, ws = step[0], self._ws
        if what == "sleep":
            self.scheduler.sleep(step[1])
            return True
        if what == "send":
            self._count += 1
            head = f"{self.name}.{self._count}."
            text: str = head + (TEXTURE * (step[1] // len(TEXTURE) + 1))[: step[1]]
            message: str | bytes = text if step[2] else text.encode()
            return self._call("send", lambda: ws.send(message), message=message) != "closed"
        if what == "receive":
            return self._call("receive", lambda: ws.receive(step[1]), timeout=step[1]) != "closed"
        if what == "iterate":
            outcome = ""
            while outcome != "closed":
                if outcome in ("", "interrupted"):  # a generator that was left by an exception is over
                    following = partial(next, iter(ws), _END)
                outcome = self._call("receive", following)
            return False
        if what == "ping":
            return self._call("ping", lambda: ws.ping(bytes(step[1]))) != "closed"
        assert what == "close"
        if ws.connected or "max_unread_messages" in self.ledger.side.options:
            self.ledger.closed_here = True  # and of what was behind the end of another one's making, only so much is kept
        return self._call("close", lambda: ws.close(step[1], "enough")) == "interrupted"

    def _call(self, what: str, function: Callable[[], Any], timeout: float | None = None, message: Any = None) -> str:
        scheduler, ledger = self.scheduler, self.ledger
        call = Call(self.name, what, scheduler.now, scheduler.stalled_before, timeout)
        ledger.calls.append(call)
        if message is not None:
            ledger.sent[message] = call
        if scheduler.notes is not None:
            scheduler.note(f"calls {what}({timeout if what == 'receive' else (message or '')[:20]!r})")
        try:
            found = function()
            call.outcome = "ok"
            if what == "receive":
                if found is _END:
                    call.outcome = "closed"
                elif found is None:
                    call.outcome = "none"
                    if timeout is None:
                        ledger.problem(f"{self.name}: receive() without a timeout returned None")
                else:
                    ledger.received.append((self.name, found))
        except ConnectionClosed:
            call.outcome = "closed"
            if what == "close":
                ledger.problem(f"{self.name}: close() raised ConnectionClosed")
        except Interruption:
            call.outcome = "interrupted"
            ledger.interrupted += 1
        except Exception as error:
            call.outcome = "refused"
            ledger.problem(f"{self.name}: {what} raised {type(error).__name__}: {error}")
        call.ended = scheduler.now
        call.stalled = scheduler.stalled - call.stalled
        if scheduler.notes is not None:
            scheduler.note(f"{what}: {call.outcome}")
        return call.outcome


_END = object()
