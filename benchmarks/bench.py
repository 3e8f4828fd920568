"""`Bench`: the processes of a run, and the experiments with them.

Subjects take turns on one core, so that what else the machine does meanwhile hits all of them; the load generator has another.
A subject that fails is named in the report and left out from there on; the run goes on.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .cases import MODES, Case
from .child import Child, ChildFailed
from .client import CLIENTS
from .figures import Figures
from .orders import Orders
from .subjects import SUBJECTS, Subject, installed

__all__ = ["Bench", "Plan"]

_START_TIMEOUT = 30.0
_ANSWER_TIMEOUT = 60.0
_SETTLE = 0.3  # seconds after which a subject has done what opening and closing connections left to do
_WARM_UP = 0.05  # seconds
_FOR_EACH = 250e-6  # seconds
_WARM_CONNECTIONS = 4
# A peer without keepalive, or with a thread for it on every connection, is not what thousands of connections are held with.
_SCALED = ("ours-threads", "ours-gevent", "ours-asyncio", "websockets-asyncio", "aiohttp")


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    :param rounds: how often each subject has its turn.
    :param seconds: how long one turn of one case takes.
    :param subjects: that take part.
    :param echo: cases of echoes.
    :param growth: cases that only differ in connections.
    :param idle: connections whose memory is measured, 0 for none.
    :param accepts: connections to be opened and closed, 0 for none.
    :param broadcast: connections to broadcast to, 0 for none.
    :param scale: connections to be held, by family.
    :param hold: seconds to hold them.
    :param clients: cases for clients.
    :param helper: whether our library's helper sends broadcasts, where it has one.
    """

    rounds: int
    seconds: float
    subjects: tuple[Subject, ...]
    echo: tuple[Case, ...] = ()
    growth: tuple[Case, ...] = ()
    idle: int = 0
    accepts: int = 0
    broadcast: int = 0
    scale: dict[str, int] = field(default_factory=dict)
    hold: float = 50.0
    clients: tuple[Case, ...] = ()
    helper: bool = True


class Bench:
    """The processes of one run.

    :param plan: what to measure.
    :param say: called with words about where the run is.
    :param together: whether the load generator shall have the subject's core.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None], together: bool = False) -> None:
        self.figures = Figures()
        self._plan = plan
        self._say = say
        cores = sorted(os.sched_getaffinity(0))
        self.subject_core = cores[-1]
        self.load_core = cores[-1] if together else cores[0]
        self._load: Child | None = None
        self._certificate = ""

    def run(self) -> None:
        """Do all experiments of the plan."""
        plan = self._plan
        with tempfile.TemporaryDirectory() as folder:
            if any(case.mode == "tls" for case in plan.echo):
                self._certificate = _make_certificate(Path(folder))
            try:
                self._echoes("echo", plan.echo, plan.subjects)
                growing = [one for one in plan.subjects if one.family in ("gevent", "asyncio") and one.kind != "server"]
                self._echoes("growth", plan.growth, growing)
                for experiment in (self._idle, self._accepts, self._broadcasts, self._scale):
                    experiment()
                self._clients()
            finally:
                self._end_load()

    # Echoes

    def _echoes(self, experiment: str, cases: Iterable[Case], subjects: Iterable[Subject]) -> None:
        for mode in MODES:
            of_mode = [case for case in cases if case.mode == mode]
            with ExitStack() as stack:
                running: list[tuple[Subject, Child, int]] = []
                for subject in subjects if of_mode else ():
                    with self._noting(subject.name):
                        if mode in subject.modes:
                            running.append((subject, *self._start(stack, Orders(subject.name, mode))))
                for number in range(1, self._plan.rounds + 1) if running else ():
                    self._say(f"{experiment}, {mode}: round {number} of {self._plan.rounds}")
                    for case in of_mode:
                        for one in list(running):
                            with self._noting(f"{one[0].name} at {case.name}") as failed:
                                self._echo(experiment, *one, case, number)
                            if failed:
                                running.remove(one)

    def _echo(self, experiment: str, subject: Subject, child: Child, port: int, case: Case, number: int) -> None:
        """Connect, warm up, measure, hang up."""
        load = self._open(subject, port, case)
        # Thousands of connections need their time until each has had some echoes.
        seconds = max(self._plan.seconds, case.connections * _FOR_EACH)
        load.ask(_ANSWER_TIMEOUT, run=max(_WARM_UP, seconds / 4))
        before = child.cpu
        done = load.ask(_ANSWER_TIMEOUT + seconds, run=seconds)
        spent = child.cpu - before
        load.ask(_ANSWER_TIMEOUT, close=True)
        messages = done["messages"]
        self.figures.add(
            experiment, case.name, subject.name, number,
            cpu_us=spent / messages * 1e6, rate=messages / done["seconds"], generator_us=done["cpu"] / messages * 1e6,
        )  # fmt: skip

    # Connections

    def _idle(self) -> None:
        """Memory per connection that has had one echo and waits."""
        count = self._plan.idle
        for subject in self._those("plain") if count else ():
            for mode in ("plain", "deflate"):
                if mode not in subject.modes:
                    continue
                self._say(f"memory of idle connections: {subject.name}, {mode}")
                case = Case(_WARM_CONNECTIONS, 64, mode=mode)
                with self._noting(f"{subject.name}, idle"), ExitStack() as stack:
                    child, port = self._start(stack, Orders(subject.name, mode))
                    memory = []
                    for connections in (_WARM_CONNECTIONS, count):
                        load = self._open(subject, port, replace(case, connections=connections))
                        load.ask(_ANSWER_TIMEOUT, run=0)
                        time.sleep(_SETTLE)
                        memory.append(child.memory)
                        load.ask(_ANSWER_TIMEOUT, close=True)
                        time.sleep(_SETTLE)
                    kib = (memory[1] - memory[0]) / (count - _WARM_CONNECTIONS) / 1024
                    name = f"{count}-deflate" if mode == "deflate" else str(count)
                    self.figures.add("idle", name, subject.name, kib=kib)

    def _accepts(self) -> None:
        count = self._plan.accepts
        with ExitStack() as stack:
            running = []
            for subject in self._those("plain") if count else ():
                with self._noting(subject.name):
                    running.append((subject, *self._start(stack, Orders(subject.name))))
            for number in range(1, self._plan.rounds + 1) if running else ():
                self._say(f"accepting: round {number} of {self._plan.rounds}")
                for subject, child, port in list(running):
                    with self._noting(f"{subject.name}, accepting") as failed:
                        load = self._open(subject, port, Case(1, 64))
                        before = child.cpu
                        done = load.ask(_ANSWER_TIMEOUT, accept=count)
                        time.sleep(_SETTLE)
                        spent = child.cpu - before
                        load.ask(_ANSWER_TIMEOUT, close=True)
                        self.figures.add(
                            "accept", str(count), subject.name, number,
                            cpu_us=spent / done["count"] * 1e6, rate=done["count"] / done["seconds"],
                        )  # fmt: skip
                    if failed:
                        running.remove((subject, child, port))

    def _broadcasts(self) -> None:
        count = self._plan.broadcast
        with ExitStack() as stack:
            running = []
            for subject in self._those("plain") if count else ():
                if subject.broadcasts:
                    with self._noting(subject.name):
                        child, port = self._start(stack, Orders(subject.name, role="broadcast", helper=self._plan.helper))
                        running.append((subject, child, self._open(subject, port, Case(count, 1024), own=stack)))
            times = max(1, round(self._plan.seconds * 10))
            for number in range(1, self._plan.rounds + 1) if running else ():
                self._say(f"broadcasting: round {number} of {self._plan.rounds}")
                for subject, child, load in running:
                    with self._noting(f"{subject.name}, broadcasting"):
                        load.ask(_ANSWER_TIMEOUT, broadcast=1)
                        before = child.cpu
                        done = load.ask(_ANSWER_TIMEOUT, broadcast=times)
                        self.figures.add(
                            "broadcast", str(count), subject.name, number,
                            cpu_us=(child.cpu - before) / times / count * 1e6, ms=done["seconds"] / times * 1e3,
                        )  # fmt: skip

    def _scale(self) -> None:
        """Many idle connections with keepalive, and echoes on one of them meanwhile."""
        for subject in self._those("plain"):
            count = self._plan.scale.get(subject.family, 0)
            if not count or subject.name.partition("@")[0] not in _SCALED:
                continue
            self._say(f"{count} connections to {subject.name}, held for {self._plan.hold:.0f} s")
            with self._noting(f"{subject.name}, {count} connections"), ExitStack() as stack:
                child, port = self._start(stack, Orders(subject.name, ping_interval=25))
                memory, threads, census = child.memory, child.threads, child.ask(_ANSWER_TIMEOUT, census=True)
                load = self._load_child()
                opened = load.ask(_ANSWER_TIMEOUT * 2, open=port, case=f"{count}x64", websocket=True)
                time.sleep(_SETTLE * 5)
                memory = child.memory - memory
                before, started = child.cpu, time.monotonic()
                held = load.ask(_ANSWER_TIMEOUT + self._plan.hold, hold=self._plan.hold)
                idle = (child.cpu - before) / (time.monotonic() - started)
                now = child.ask(_ANSWER_TIMEOUT, census=True)
                background = child.threads - threads + sum(now.values()) - sum(census.values()) - count
                load.ask(_ANSWER_TIMEOUT, close=True)
                latencies = sorted(held["latencies"])
                self.figures.add(
                    "scale", str(count), subject.name, kib=memory / count / 1024, accept_s=opened["seconds"],
                    idle_percent=idle * 100, background=background, pings=held["pings"],
                    latency_ms=latencies[len(latencies) // 2] * 1e3, latency_99_ms=latencies[len(latencies) * 99 // 100] * 1e3,
                )  # fmt: skip

    # Clients

    def _clients(self) -> None:
        if not self._plan.clients:
            return
        with ExitStack() as outer:
            canned = Child("the server for clients", "canned", core=self.load_core)
            outer.callback(canned.end)
            port = canned.hear(_START_TIMEOUT)["port"]
            for case in self._plan.clients:
                with ExitStack() as stack:
                    running = []
                    for client in CLIENTS.values():
                        if all(installed(package) for package in client.packages):
                            with self._noting(client.name):
                                child = Child(client.name, "client", client.name, str(port), case.name, core=self.subject_core)
                                stack.callback(child.end)
                                child.hear(_START_TIMEOUT)
                                child.ask(_ANSWER_TIMEOUT, run=_WARM_UP)
                                running.append((client, child))
                    self._say(f"clients: {case.name}")
                    for number in range(1, self._plan.rounds + 1):
                        for client, child in running:
                            with self._noting(f"{client.name} at {case.name}"):
                                self._client(client.name, child, case, number)

    def _client(self, name: str, child: Child, case: Case, number: int) -> None:
        before = child.cpu
        done = child.ask(_ANSWER_TIMEOUT + self._plan.seconds, run=self._plan.seconds)
        spent = child.cpu - before
        messages = done["messages"]
        self.figures.add("clients", case.name, name, number, cpu_us=spent / messages * 1e6, rate=messages / done["seconds"])

    # Processes

    def _those(self, mode: str) -> Sequence[Subject]:
        """The subjects of connections: those that are compared, without the web servers that ours runs on."""
        return [one for one in self._plan.subjects if mode in one.modes and one.kind != "server"]

    def _start(self, stack: ExitStack, orders: Orders) -> tuple[Child, int]:
        name, tree = orders.name.partition("@")[0], SUBJECTS[orders.name].tree
        orders = replace(orders, name=name, certificate=self._certificate, tree=tree)
        child = Child(orders.name, "subject", orders.dump(), core=self.subject_core)
        stack.callback(child.end)
        port: int = child.hear(_START_TIMEOUT)["port"]
        return child, port

    def _open(self, subject: Subject, port: int, case: Case, own: ExitStack | None = None) -> Child:
        """Return a load generator with a case's connections: the common one, or its own, ended by the stack."""
        if own is None:
            load = self._load_child()
        else:
            load = Child("the load generator", "load", core=self.load_core)
            own.callback(load.end)
        load.ask(_ANSWER_TIMEOUT, open=port, case=case.name, websocket=subject.speaks_websocket)
        return load

    def _load_child(self) -> Child:
        if self._load is None:
            self._load = Child("the load generator", "load", core=self.load_core)
        return self._load

    def _end_load(self) -> None:
        if self._load is not None:
            self._load.end()
            self._load = None

    @contextmanager
    def _noting(self, what: str) -> Iterator[list[str]]:
        """Note that something has failed instead of ending the run; the list that this gives is not empty then."""
        failed: list[str] = []
        try:
            yield failed
        except (ChildFailed, OSError) as failure:
            failed.append(f"{what}: {failure}")
            self.figures.failures.append(failed[0])
            print(f"FAILED: {failed[0]}", file=sys.stderr, flush=True)
            self._end_load()  # it may be in the middle of something


def _make_certificate(folder: Path) -> str:
    import trustme

    path = folder / "certificate.pem"
    certificate: Any = trustme.CA().issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)
