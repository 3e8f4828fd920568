"""Plans: what a seed's program is, drawn before anything runs, so that it does not depend on how it goes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from .network import FAIR, Weather

__all__ = ["Plan", "Side"]

WEATHERS = {
    "fair": FAIR,
    "quick": Weather(capacity=4096, cut=0.3, split=0.3, delay=0.002),
    "rough": Weather(capacity=2000, cut=0.4, split=0.4, delay=0.05, hold=0.01),
    "narrow": Weather(capacity=300, cut=0.2, split=0.1, delay=0.01),
    "forgetful": Weather(capacity=8192, cut=0.3, split=0.3, delay=0.03, forget=0.5),
}

SIZES = (0, 1, 5, 30, 120, 126, 300, 700, 1500, 4000)

Step = tuple[Any, ...]


@dataclass
class Side:
    """One connection of ours and those who use it."""

    client: bool
    options: dict[str, Any]
    users: list[tuple[str, list[Step]]] = field(default_factory=list)
    #: (seconds, number of the user): exceptions from outside.
    interruptions: list[tuple[float, int]] = field(default_factory=list)
    #: "close", "drop", "drop a cycle", "leave" (the context manager), "raise" (in it).
    ending: str = "close"


@dataclass
class Plan:
    """A program."""

    seed: int
    threads: bool
    gap: int
    weather_name: str
    stall: float
    compression: bool
    shared: bool
    sides: list[Side]
    #: The scripted peer's steps, if the peer is none of ours.
    script: list[Step] | None
    horizon: float
    #: Seconds that each choice takes.
    tick: float = 1e-6

    @property
    def weather(self) -> Weather:
        return WEATHERS[self.weather_name]

    @classmethod
    def of(cls, seed: int) -> Plan:
        dice = random.Random(f"plan {seed}")
        threads = dice.random() < 0.6
        both = dice.random() < 0.35
        client_first = dice.random() < 0.5
        compression = dice.random() < 0.4
        sides = [_side(dice, client_first, compression, threads)]
        if both:
            sides.append(_side(dice, not client_first, compression, threads))
        plan = cls(
            seed=seed,
            threads=threads,
            gap=dice.choice((0, 2, 6, 20)) if threads else 0,
            weather_name=dice.choice(list(WEATHERS)),
            stall=dice.choice((0.0, 0.0, 0.004)),
            compression=compression,
            shared=both and dice.random() < 0.5,
            sides=sides,
            script=None if both else _script(dice),
            horizon=dice.choice((1.0, 3.0, 6.0)),
        )
        plan._bring_together(random.Random(f"focus {seed}"))
        return plan

    def _bring_together(self, dice: random.Random) -> None:
        """Have some of the programs be about what needs three things at a time, which chance alone seldom gives."""
        focus = dice.random()
        if focus >= 0.1:
            return
        change = _come_late if focus < 0.05 else _answer_between
        if change is _come_late:
            self.tick = 1e-4  # what the keeper does takes its time
            self.gap = min(self.gap, 6)
        side = self.sides[0]
        talk = change(dice, side)
        if self.script is not None:
            self.script = talk
        side.interruptions.clear()
        self.weather_name = dice.choice(("quick", "narrow"))
        self.horizon = 6.0

    def describe(self) -> str:
        lines = [
            f"seed {self.seed}: {'threads' if self.threads else 'greenlets'}, preempted every {self.gap or 'never'}, "
            f"network {self.weather_name}, stalls {self.stall}, a choice {self.tick} s, compression {self.compression}, "
            f"horizon {self.horizon}" + (", one machine" if self.shared else "")
        ]
        for side in self.sides:
            lines.append(f"  {'client' if side.client else 'server'} {side.options}, ends with {side.ending}")
            lines += [f"    {name}: {steps}" for name, steps in side.users]
            lines += [f"    interruption after {when:.3f} of user {who}" for when, who in side.interruptions]
        if self.script is not None:
            lines.append(f"  peer: {self.script}")
        return "\n".join(lines)


def _side(dice: random.Random, client: bool, compression: bool, threads: bool) -> Side:
    options: dict[str, Any] = {"compression": compression, "close_timeout": dice.choice((0, 0.3, 2.0, 5.0))}
    if dice.random() < 0.4:
        options["ping_interval"] = dice.choice((0.2, 0.7))
        options["ping_timeout"] = dice.choice((0.5, 2.0))
    if dice.random() < 0.4:
        options["max_unread_messages"] = dice.choice((1, 2, 5))
    if dice.random() < 0.3:
        options["receive_bytes"] = dice.choice((1, 7, 100))
    if dice.random() < 0.1:
        options["max_message_size"] = 1000
    side = Side(client, options)
    for number in range(dice.choice((1, 1, 2, 2, 3, 4))):
        kind = dice.choice(("sender", "sender", "receiver", "receiver", "iterator", "mixed", "mixed", "pinger", "closer"))
        side.users.append((f"{kind} {number}", _USERS[kind](dice)))
    if dice.random() < 0.25:
        # To threads, only the main one gets any: the first user is it.
        for _ in range(dice.choice((1, 2, 4))):
            side.interruptions.append((dice.random() ** 2 * 1.5, 0 if threads else dice.randrange(len(side.users))))
    side.ending = dice.choice(("close", "close", "leave", "raise", "drop", "drop a cycle"))
    return side


def _sender(dice: random.Random) -> list[Step]:
    steps: list[Step] = []
    for _ in range(dice.choice((1, 3, 8, 15))):
        steps.append(("send", dice.choice(SIZES), dice.random() < 0.5))
        if dice.random() < 0.3:
            steps.append(("sleep", dice.choice((0, 0.001, 0.02, 0.3))))
    return steps


def _timeout(dice: random.Random) -> float | None:
    return dice.choice((None, None, 0, 0, 0.001, 0.05, 0.4, 2.0))


def _receiver(dice: random.Random) -> list[Step]:
    return [("receive", _timeout(dice)) for _ in range(dice.choice((2, 10, 30)))]


def _iterator(dice: random.Random) -> list[Step]:
    return [("sleep", dice.choice((0, 0, 0.6))), ("iterate",)]


def _pinger(dice: random.Random) -> list[Step]:
    steps: list[Step] = []
    for _ in range(dice.choice((1, 4))):
        steps += [("ping", dice.choice((0, 8, 125))), ("sleep", dice.random() * 0.1)]
    return steps


def _closer(dice: random.Random) -> list[Step]:
    return [("sleep", dice.choice((0, 0.01, 0.2, 0.7))), ("close", dice.choice((None, 1001, 1011, 4000)))]


def _mixed(dice: random.Random) -> list[Step]:
    steps: list[Step] = []
    for _ in range(dice.choice((4, 10, 20))):
        what = dice.random()
        if what < 0.4:
            steps.append(("receive", dice.choice((0, 0.001, 0.05, 0.4))))
        elif what < 0.75:
            steps.append(("send", dice.choice(SIZES), dice.random() < 0.5))
        elif what < 0.8:
            steps.append(("ping", 4))
        else:
            steps.append(("sleep", dice.choice((0, 0.001, 0.05, 0.6))))
    if dice.random() < 0.2:
        steps.append(("close", 4001))
    return steps


_USERS = {
    "sender": _sender,
    "receiver": _receiver,
    "iterator": _iterator,
    "mixed": _mixed,
    "pinger": _pinger,
    "closer": _closer,
}


def _come_late(dice: random.Random, side: Side) -> list[Step]:
    """Those who receive come and go while the peer talks: the keeper is in the middle of a message when they are back."""
    side.users.clear()
    for number in range(dice.choice((1, 1, 2))):
        steps: list[Step] = []
        for _ in range(6):
            steps.append(("sleep", dice.choice((0.55, 0.6, 0.8))))
            steps += [("receive", dice.choice((0, 0.05, 0.3))) for _ in range(dice.choice((1, 2, 4)))]
        side.users.append((f"latecomer {number}", steps))
    side.options["receive_bytes"] = 7
    talk: list[Step] = []
    for _ in range(6):
        talk += [("say", 300, dice.random() < 0.5, dice.choice((20, 40))), ("sleep", dice.choice((0.2, 0.5, 0.8)))]
    return talk


def _answer_between(dice: random.Random, side: Side) -> list[Step]:
    """One receives, others send more than there is room for: pings are answered by whoever has the write lock."""
    side.users = [("iterator 0", [("iterate",)])]
    for number in (1, 2):
        side.users.append((f"sender {number}", [("send", dice.choice((700, 1500, 4000)), dice.random() < 0.5) for _ in range(4)]))
    talk: list[Step] = []
    for _ in range(dice.choice((1, 3, 6))):
        talk += [("ping", dice.choice((8, 125))), ("sleep", dice.choice((0, 0.001, 0.02)))]
    return talk


def _script(dice: random.Random) -> list[Step]:
    steps: list[Step] = []
    for _ in range(dice.choice((0, 3, 8, 20))):
        what = dice.random()
        if what < 0.55:
            steps.append(("say", dice.choice(SIZES), dice.random() < 0.5, dice.choice((1, 1, 1, 3))))
        elif what < 0.7:
            steps.append(("ping", dice.choice((0, 8, 125))))
        elif what < 0.75:
            steps.append(("pong",))
        elif what < 0.9:
            steps.append(("sleep", dice.choice((0, 0.001, 0.02, 0.3, 0.8))))
        else:
            steps.append(("stall", dice.choice((0.05, 0.6, 3.0))))
    last = dice.choice(("stay", "stay", "close", "close", "fin", "reset", "vanish", "violate", "mute", "close and go"))
    if last != "stay":
        steps.append((last,))
    return steps
