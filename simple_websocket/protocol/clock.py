"""Keepalive: when to ping, and when to give a silent peer up.  Arithmetic on a given ``now``; no clock is read here.

Belongs to whoever calls the connection's ``on_deadline``: the keeper, one caller at a time.
"""

from __future__ import annotations

__all__ = ["Keepalive"]


# Somebody who asks this many seconds too late has been stopped, or the machine was asleep: what the peer sent meanwhile has not
# been read yet, so it gets its time once more.
_PAUSE = 1.0


class Keepalive:
    """Decides about pings every `interval` seconds and about a peer that gave no sign of life within `timeout` of one.

    Signs of life are counted by others: any inbound byte, any progress of a blocked send.  The keepalive only compares
    counts, so a message costs it nothing.

    :param interval: seconds between two pings.
    :param timeout: seconds within which a sign of life must follow a ping.
    :param now: the time of a monotonic clock, in seconds.
    """

    __slots__ = ("_awaited", "_given_up_at", "_interval", "_next_ping", "_timeout")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._next_ping = now + interval
        # While a ping is unanswered: the count of signs of life when it went out, and the time to give up.
        self._awaited = -1
        self._given_up_at = 0.0

    @property
    def deadline(self) -> float:
        """When `on_deadline` has to be called next."""
        return min(self._next_ping, self._given_up_at) if self._awaited >= 0 else self._next_ping

    def on_deadline(self, now: float, signs: int) -> tuple[bool, bool]:
        """Return (whether to ping now, whether the peer is dead).

        :param now: the time, on the clock given at the start.
        :param signs: count of signs of life so far.
        """
        if self._awaited >= 0:
            if signs != self._awaited:
                self._awaited = -1
            elif now >= self._given_up_at + _PAUSE:
                self._given_up_at = now + self._timeout
            elif now >= self._given_up_at:
                return False, True
        if now < self._next_ping:
            return False, False
        # After a pause of the whole process the missed pings are not sent one after the other.
        self._next_ping += self._interval
        if self._next_ping <= now:
            self._next_ping = now + self._interval
        if self._awaited < 0:
            self._awaited = signs
            self._given_up_at = now + self._timeout
        return True, False
