"""A program: a connection of ours, those who use it, and its peer, run from a seed and judged."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any

from simple_websocket import Client, Server
from tests.support.wire import Head

from . import preemption
from .judge import ENDING, SLACK, judge_calls, judge_failure, judge_messages
from .machine import Machine
from .network import FAIR, Network
from .peers import ScriptedPeer
from .plan import Plan, Side
from .scheduler import Scheduler
from .users import Interruption, Ledger, User
from .wiretap import Wiretap

__all__ = ["Failure", "Program", "run"]

PORT = 80
#: Choices after which a program must be running in circles; the longest need some ten thousand.
LIMIT = 400_000


class Failure(AssertionError):
    """What did not hold, in a program that has run."""


class Connection:
    """One connection of ours: its side of the plan, its users, what is known of it."""

    def __init__(self, side: Side, machine: Machine) -> None:
        self.side = side
        self.machine = machine
        self.ledger = Ledger(side)
        self.ws: Any = None
        self.sock: Any = None  # of a server: whoever made it closes it
        self.users: list[User] = []
        self.code: int | None = None
        self.tap = Wiretap(side.client)


class Program:
    """A plan that runs."""

    def __init__(self, plan: Plan, trace: bool = False) -> None:
        self.plan = plan
        self.scheduler = Scheduler(f"run {plan.seed}", plan.stall, LIMIT, trace, plan.tick)
        self.network = Network(self.scheduler, FAIR)
        self.problems: list[str] = []
        machines = [Machine(self.scheduler, self.network, name, plan.threads) for name in ("one", "other")]
        self.machines = machines
        self.ours = [Connection(side, machines[0 if plan.shared else n]) for n, side in enumerate(plan.sides)]
        self.peer: ScriptedPeer | None = None
        if plan.script is not None:
            self.peer = ScriptedPeer(machines[1], not plan.sides[0].client, plan.compression, plan.script)
        self._peer_tap = Wiretap(not plan.sides[0].client)

    def run(self) -> None:
        """Run it; raise Failure when something does not hold."""
        preemption.begin(self.scheduler, self.plan.gap)
        watch = _Complaints(self.problems)
        try:
            with watch:
                self._open()
                self._start_users()
                self._wait_for(self._users_are_done, self.plan.horizon)
                for connection in self.ours:
                    self._look_at_the_receivers(connection)
                if self.peer is not None:
                    self._look_at_the_keeper(self.ours[0], self.peer)
                for connection in self.ours:
                    self._end(connection)
                if self.peer is not None:
                    self.peer.hang_up()
                self._nothing_is_left()
            for number, connection in enumerate(self.ours):
                judge_calls(self.plan, connection.ledger)
                judge_failure(self.plan, connection.ledger)
                incoming = self.ours[1 - number].tap if self.peer is None else self._peer_tap
                judge_messages(self.plan, connection.ledger, connection.tap, incoming, connection.code)
                self.problems += connection.ledger.problems
        except Failure:
            raise
        except AssertionError as error:  # a deadlock, a livelock, a waiter with two users
            self.problems.append(f"{type(error).__name__}: {error}")
        finally:
            preemption.end()
            self.scheduler.surprise = None
            self.scheduler.end()
            for machine in self.machines:
                machine.end()
        if self.problems:
            raise Failure("\n".join(self.problems))

    # The opening handshake

    def _open(self) -> None:
        """Connect, in fair weather; what the plan says of the network begins behind it."""
        server_machine = self.machines[1] if self.plan.sides[0].client else self.machines[0]
        if self.peer is None:
            server_machine = next(c for c in self.ours if not c.side.client).machine
        listener = server_machine.socket()
        listener.bind(("peer", PORT))
        listener.on_connection = self._tap
        listener.listen()
        opening = self.scheduler.spawn(lambda: self._accept(listener), "accepts")
        client = next((c for c in self.ours if c.side.client), None)
        if client is not None:
            client.ws = Client.connect(f"ws://peer:{PORT}/", backend=client.machine.backend, **client.side.options)
        else:
            assert self.peer is not None
            sock = self.machines[1].socket()
            sock.connect_ex(("peer", PORT))
            sock.wait_until(lambda: sock.writable, 5.0, "a connection")
            self.peer.shake_hands(sock)
        self._wait_for(lambda: opening.finished, 5.0)
        if opening.error is not None:
            raise opening.error
        listener.close()

    def _accept(self, listener: Any) -> None:
        sock = listener.accept()[0]
        server = next((c for c in self.ours if not c.side.client), None)
        if server is None:
            assert self.peer is not None
            self.peer.shake_hands(sock)
            return
        server.sock = sock
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += sock.recv(4096)  # a client sends nothing behind its request before it is answered
        environ = Head(data).environ()
        server.ws = Server.accept(environ, sock=sock, backend=server.machine.backend, **server.side.options)

    def _tap(self, sock: Any) -> None:
        """Listen in on the server's socket."""
        taps = {connection.side.client: connection.tap for connection in self.ours}
        sock.sending.tap = taps.get(False, self._peer_tap)
        sock.receiving.tap = taps.get(True, self._peer_tap)

    # Running

    def _start_users(self) -> None:
        for connection in self.ours:
            for pipe in (connection.ws._link.sock.sending, connection.ws._link.sock.receiving):
                pipe._weather = self.plan.weather
            for name, steps in connection.side.users:
                user = User(self.scheduler, connection.ledger, name, steps, connection.ws)
                connection.users.append(user)
                role = "" if len(self.ours) == 1 else " c" if connection.side.client else " s"
                user.task = self.scheduler.spawn(user.run, name + role)
            task = connection.users[0].task
            assert task is not None
            connection.machine.main_thread = task
            for when, who in connection.side.interruptions:
                victim = connection.users[who].task
                assert victim is not None
                self.scheduler.at(self.scheduler.now + when, lambda victim=victim: self.scheduler.throw(victim, Interruption()))
        if self.peer is not None:
            self.peer.start()

    def _users_are_done(self) -> bool:
        return all(user.task is not None and user.task.finished for c in self.ours for user in c.users)

    def _wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for it that long, as far as the clock is the machine's own."""
        by = self.scheduler.now + seconds
        while not condition():
            if self.scheduler.now >= by:
                return False
            self.scheduler.sleep(min(0.02, by - self.scheduler.now))
        return True

    def _wait_for_the_network(self, condition: Callable[[], bool], seconds: float, peer: ScriptedPeer) -> bool:
        """Wait for it that long, from when the network has last brought something: it may hold back several, one by one."""
        for _ in range(10):
            since = self.scheduler.now
            if self._wait_for(condition, seconds):
                return True
            latest = max(pipe.latest for pipe in peer.pipes)
            if latest <= since:
                break
            self._wait_for(condition, latest - self.scheduler.now)
        return condition()

    def _look_at_the_receivers(self, connection: Connection) -> None:
        """Nobody waits for a message while there is one."""
        ws = connection.ws
        unread = ws._link._unread

        def somebody_waits() -> bool:
            # While somebody closes, who receives without a timeout may have to wait for that.
            calls = {call.who: call for call in connection.ledger.calls}
            return ws.connected and unread and any(call.what == "receive" and call.ended is None for call in calls.values())

        limit = 1.0 + self.scheduler.stalled
        if not self._wait_for(lambda: not somebody_waits(), limit):
            self.problems.append(f"somebody waited {limit:.1f} s for a message, and there was one")

    def _look_at_the_keeper(self, connection: Connection, peer: ScriptedPeer) -> None:
        """While nobody reads, or somebody does: pings are answered, and an end is noticed."""
        ws = connection.ws
        unread = ws._link._unread
        options = connection.side.options
        slow = self.plan.weather_name in ("rough", "narrow", "forgetful") or self.plan.stall
        limit = 12.0 if slow else 1.2 + self.scheduler.stalled
        if peer.violated or "max_message_size" in options:
            limit += options["close_timeout"]  # so long is left for the answers to what came before a violation
        if peer.gone_at is not None and options.get("ping_interval"):
            # A ping goes out at the latest after an interval, and is waited for; two more seconds are for being looked at.
            limit = 2 * options["ping_interval"] + options["ping_timeout"] + 2.0 + (10.0 if slow else 0.0)
            self._wait_for(lambda: not ws.connected, peer.gone_at + limit - self.scheduler.now)
            if ws.connected and unread.has_room:
                self.problems.append(f"a peer that went silent at {peer.gone_at - 1000:.3f} was not noticed in {limit:.1f} s")
        elif peer.healthy and ws.connected and not peer.violated:
            self._wait_for(lambda: not peer.stalled or not peer.healthy, 20.0)

            # Looked at before there is another ping: that one's answer would take along what was forgotten.
            for probe in (None, b"probe"):
                if probe is not None:
                    peer.ping(probe)
                answered = self._wait_for_the_network(
                    lambda: not peer.unanswered or not ws.connected or not unread.has_room, limit, peer
                )
                if not answered and peer.healthy and not peer.stalled:
                    what = "a ping" if probe is None else "a ping that came while the connection was quiet"
                    self.problems.append(f"{what} was not answered in {limit:.1f} s")
                    break
        elif peer.gone_at is None and not peer.healthy:
            if not self._wait_for_the_network(lambda: not ws.connected or not unread.has_room, limit, peer):
                self.problems.append(f"the end of the connection was not noticed in {limit:.1f} s")

    # The end

    def _end(self, connection: Connection) -> None:
        side = connection.side
        ending = side.ending
        done = all(user.task is not None and user.task.finished for user in connection.users)
        if ending.startswith("drop") and (not done or connection.ws is None):
            ending = side.ending = "close"  # somebody uses it still
        if ending.startswith("drop"):
            self._drop(connection, ending)
        else:
            self._close(connection, ending)
        if connection.sock is not None:
            connection.sock.close()  # as the web server does behind the handler

    def _close(self, connection: Connection, ending: str) -> None:
        ws, ledger, options = connection.ws, connection.ledger, connection.side.options
        connection.ws = None
        was_open, before = ws.connected, len(ledger.received)
        director = User(self.scheduler, ledger, "director", [], ws)
        director._call("close", ws.close if ending == "close" else lambda: self._leave(ws, ending))
        ledger.closed_here = ledger.closed_here or was_open
        patience = options["close_timeout"] + ENDING + SLACK + 2.5 + 4 * self.scheduler.stalled
        if not self._wait_for(lambda: all(user.task.finished for user in connection.users), patience):  # type: ignore[union-attr]
            left = [user.name for user in connection.users if not user.task.finished]  # type: ignore[union-attr]
            self.problems += [f"not ended {patience:.1f} s after close(): {left}", self.scheduler.describe()]
            raise Failure("\n".join(self.problems))
        late = 0
        while director.do(("receive", 0)):
            if ledger.calls[-1].outcome != "none":
                continue
            late += 1
            if late > 1:
                ledger.problem("receive(0) returned None again after the end")
                break
            self.scheduler.sleep(0.4)  # once it may: the keeper has just ended it, and is about to let go of the lock
        if len(ledger.received) - before >= options.get("max_unread_messages", LIMIT):
            ledger.closed_here = True  # more than there was room for may have been dropped on the way to the end
        for step in (("receive", None), ("send", 3, True), ("ping", 0)):
            if director.do(step):
                ledger.problem(f"{step} went well after the end")
        if ws.connected:
            ledger.problem("connected after close()")
        connection.code = ws.close_reason
        ledger.failure = ws._link.protocol.failure
        if connection.code is None:
            ledger.problem("no close_reason after the end")

    @staticmethod
    def _leave(ws: Any, ending: str) -> None:
        try:
            with ws:
                if ending == "raise":
                    raise KeyError("the application's own")
        except KeyError:
            pass

    def _drop(self, connection: Connection, ending: str) -> None:
        """Nobody has it any more; its finalizer ends it, wherever it is called."""
        ws, connection.ws = connection.ws, None
        code = ws.close_reason
        connection.ledger.failure = ws._link.protocol.failure
        for user in connection.users:
            user._ws = None
        connection.code = code
        if ending == "drop":
            del ws
            return
        ws.me = ws
        del ws
        if self.plan.gap:
            self.scheduler.surprise = gc.collect  # in the middle of whatever somebody else is doing
            self._wait_for(lambda: self.scheduler.surprise is None, 0.3)
        self.scheduler.surprise = None
        gc.collect()

    def _nothing_is_left(self) -> None:
        patience = max(c.side.options["close_timeout"] for c in self.ours) + ENDING + 2.0 + self.scheduler.stalled
        machines = self.machines

        def clean() -> bool:
            return not self.scheduler.tasks and not any(machine.descriptors for machine in machines)

        if not self._wait_for(clean, patience):
            left = {machine.name: machine.descriptors for machine in machines if machine.descriptors}
            self.problems.append(f"left after {patience:.1f} s: {left}\n{self.scheduler.describe()}")
        for task in self.scheduler.crashed:
            self.problems.append(f"{task.name} ended with {type(task.error).__name__}: {task.error}")
        if any(machine.keeper._links for machine in machines):
            self.problems.append("the keeper has connections left")


class _Complaints(logging.Handler):
    """What the package logs: a connection that failed while it was looked after."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._problems = problems

    def emit(self, record: logging.LogRecord) -> None:
        self._problems.append(f"logged: {logging.Formatter().format(record)}")

    def __enter__(self) -> None:
        logger = logging.getLogger("simple_websocket")
        logger.addHandler(self)
        self._propagate, logger.propagate = logger.propagate, False

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("simple_websocket")
        logger.removeHandler(self)
        logger.propagate = self._propagate


def run(seed: int, trace: bool = False) -> Program:
    """Run a seed's program.

    :raises Failure: something did not hold.
    """
    program = Program(Plan.of(seed), trace)
    program.run()
    return program
