"""The judge: what must hold of a program that has run, whatever it did."""

from __future__ import annotations

from collections import Counter

from .plan import Plan
from .users import Call, Ledger
from .wiretap import Wiretap

__all__ = ["judge_calls", "judge_failure", "judge_messages"]

#: Seconds that a call may take beyond what its arguments say, on a machine that does not hold tasks up.
SLACK = 0.1

#: Choices that it may take, on a machine where each takes its time: whoever is late still reads this and that.
CHOICES = 5000

#: Seconds that ending a connection may take beside the closing handshake: waiting for the server to end TCP.  The keeper lets
#: go, and those who were woken let go of their locks, within moments; that these waits are bounded as well (a second each) is
#: there for what nobody has thought of, and hides a lost wake-up, so it is not allowed for.
EOF_WAIT = 0.5
ENDING = EOF_WAIT + 1.0 + 1.0


def judge_calls(plan: Plan, ledger: Ledger) -> None:
    """Every call has ended within its bound."""
    slack = SLACK + CHOICES * plan.tick
    close_timeout = ledger.side.options["close_timeout"]
    for call in ledger.calls:
        if call.ended is None:
            ledger.problem(f"{call.who}: {call.what} has not returned, since {call.started - 1000:.6f}")
            continue
        took = call.ended - call.started
        bound = _bound(call, close_timeout)
        if bound is not None and took > bound + slack + call.stalled:
            ledger.problem(
                f"{call.who}: {call.what}({call.timeout}) began at {call.started - 1000:.6f}, took {took:.3f} s and came out as "
                f"{call.outcome}; at most {bound:.3f} s were allowed"
            )


def _bound(call: Call, close_timeout: float) -> float | None:
    if call.what == "close":
        return close_timeout + EOF_WAIT
    if call.what == "receive" and call.timeout is not None:
        return call.timeout + (close_timeout + EOF_WAIT if call.outcome in ("closed", "interrupted") else 0)
    return None


def judge_failure(plan: Plan, ledger: Ledger) -> None:
    """No connection was failed but for what its peer has done."""
    if ledger.failure is None:
        return
    code, reason = ledger.failure
    options = ledger.side.options
    violated = plan.script is not None and ("violate",) in plan.script
    may_be = {1002: violated, 1007: violated, 1008: "ping_interval" in options, 1009: "max_message_size" in options}
    if not may_be.get(code):
        ledger.problem(f"the connection was failed with {code}, and the peer had done nothing wrong: {reason}")


def judge_messages(plan: Plan, ledger: Ledger, outgoing: Wiretap, incoming: Wiretap, code: int | None) -> None:
    """What was sent is on the wire, whole and in order, and what was on the wire was received, in order and once.

    :param outgoing: what this side wrote.
    :param incoming: what its peer wrote.
    :param code: `close_reason` of this side.
    """
    written, controls, wrong = outgoing.decode()
    if wrong:
        ledger.problem(f"written: {wrong}")
    closes = [payload for kind, payload in controls if kind == "close"]
    if len(closes) > 1:
        ledger.problem(f"written: {len(closes)} Close frames")
    if len(set(written)) < len(written):
        ledger.problem(f"written twice: {_heads([m for m, n in Counter(written).items() if n > 1])}")
    for message in written:
        if message not in ledger.sent:
            ledger.problem(f"written, but never sent: {message[:60]!r}")
    _in_order("written", written, ledger)
    on_wire = set(written)
    for message, call in ledger.sent.items():
        if call.outcome == "ok" and message not in on_wire:
            ledger.problem(f"send returned, but it was not written: {message[:60]!r}")

    offered, said, _ = incoming.decode()
    received = [message for _, message in ledger.received]
    if len(set(received)) < len(received):
        ledger.problem("received twice")
    strange = [message for message in received if message not in set(offered)]
    if strange:
        ledger.problem(f"received, but never written by the peer: {_heads(strange)}")
    positions = {message: at for at, message in enumerate(offered)}
    for who in {who for who, _ in ledger.received}:
        mine = [positions.get(message, -1) for name, message in ledger.received if name == who]
        if mine != sorted(mine):
            ledger.problem(f"{who} received in another order: {mine}")
    lost = sorted(at for message, at in positions.items() if message not in set(received))
    # Whoever closes keeps what there is room for; an exception from outside in receive() may take one message with it.
    if ledger.closed_here or ledger.failure is not None or ledger.side.ending.startswith("drop"):
        return
    gaps = [at for at in lost if at < len(received) + len(lost) and any(positions[m] > at for m in received if m in positions)]
    if len(gaps) > ledger.interrupted:
        ledger.problem(f"messages {gaps} of {len(offered)} were not received, but later ones")
    peers_close = [payload for kind, payload in said if kind == "close"]
    if peers_close and code == int.from_bytes(peers_close[0][:2], "big") and len(lost) > ledger.interrupted:
        if not closes or closes[0][:2] == peers_close[0][:2]:
            ledger.problem(f"the peer closed in order, but messages {lost} of {len(offered)} were not received")


def _in_order(what: str, messages: list[str | bytes], ledger: Ledger) -> None:
    """Each sender's messages are in the order of its calls."""
    order = {message: number for number, message in enumerate(ledger.sent)}
    latest: dict[str, int] = {}
    for message in messages:
        if message in order:
            who = ledger.sent[message].who
            if order[message] < latest.get(who, -1):
                ledger.problem(f"{what} in another order: {message[:60]!r}")
            latest[who] = order[message]


def _heads(messages: list[str | bytes]) -> list[str | bytes]:
    return [message[:40] for message in messages[:5]]
