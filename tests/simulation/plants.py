"""Planted bugs: what the simulation must find.  Each is a patch of the package, applied in this process and taken back.

They are put in where the bug would be: a lock that is not taken, a wake-up that comes too early, bytes that are forgotten.
Each says what the failure looks like when it is found for the reason that it was planted for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from simple_websocket import keeper, link, outbound, transport

__all__ = ["PLANTS", "planted"]

Patch = tuple[Any, str, Any]

#: For each planted bug: what makes the patch, and what a line of the failure begins with.
PLANTS: dict[str, tuple[Callable[[], Patch], re.Pattern[str]]] = {}


def looks_like(pattern: str) -> Callable[[Callable[[], Patch]], Callable[[], Patch]]:
    """Say what a planted bug looks like."""

    def register(plant: Callable[[], Patch]) -> Callable[[], Patch]:
        PLANTS[plant.__name__] = plant, re.compile("^(" + pattern + ")", re.MULTILINE)
        return plant

    return register


class _Open:
    """A lock that locks nobody out."""

    def acquire(self, *_: Any, **__: Any) -> bool:
        return True

    def release(self) -> None:
        pass

    def locked(self) -> bool:
        return False

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        pass


@looks_like(r"written: Torn|written: a frame behind|written in another order|written, but never sent")
def no_write_lock() -> Patch:
    """Two senders may write at once."""
    original = outbound.Outbound.__init__

    def make(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        self.lock = _Open()

    return outbound.Outbound, "__init__", make


@looks_like(r"left after|a ping was not answered|the end of the connection was not noticed")
def cleared_after_the_check() -> Patch:
    """The keeper looks whether there is something to do, then clears its wake-up, then waits."""
    original = keeper.Keeper._patience

    def patience(self: Any, sockets: Any) -> Any:
        timeout = original(self, sockets)
        for _ in range(5):
            self.backend.sleep(0)
        try:
            sockets._wake_in.recv(4096)
        except OSError:
            pass
        return timeout

    return keeper.Keeper, "_patience", patience


@looks_like(r"not ended .* s after close")
def no_wake_up_on_close() -> Patch:
    """The end of a connection does not shut the socket down, so whoever waits for it goes on waiting."""
    return transport.Transport, "shutdown", lambda self: None


@looks_like(r"the connection was failed with 1002|received, but never written|.* received in another order")
def keeper_without_the_read_lock() -> Patch:
    """The keeper reads a connection that somebody else may be reading."""

    def pump(self: Any, reading: bool = True, writing: bool = False) -> Any:
        if writing:
            self.outbound.flush()
        more = reading and self._inbound.read_ahead()
        if self.protocol.state is link.State.CLOSED and (self.protocol.lost or not self._client):
            self._finish(reading=True, patient=False, by_keeper=True)
        return more

    return link.Link, "pump", pump


@looks_like(r"written: Torn|send returned, but it was not written")
def the_rest_is_forgotten() -> Patch:
    """What the socket did not take at once is not written."""

    def write(self: Any, frame: Any, deadline: Any) -> bool:
        data = frame if isinstance(frame, bytes) else b"".join(frame)
        if data:
            self._try(data)
        self._unsure = False
        return True

    return outbound.Outbound, "_write", write


@looks_like(r"a ping was not answered")
def nobody_looks_after_letting_go() -> Patch:
    """A pong that was queued while somebody wrote is left to nobody."""

    def send(self: Any, frame: Any, *arguments: Any) -> bool:
        with self.lock:
            return self._write(frame(*arguments), None) or None

    return outbound.Outbound, "send", send


@looks_like(r"not ended .* s after close|.*: close\(None\) .* at most")
def the_lock_is_kept() -> Patch:
    """An exception from outside in receive() leaves the read lock taken."""

    def receive(self: Any, timeout: Any) -> Any:
        self.turn += 1
        deadline = None if timeout is None else self._clock() + timeout
        if not outbound.acquire(self.read_lock, deadline, self._clock):
            return None
        try:
            message = self._receive(deadline)
        except Exception:
            self._stop_reading()
            raise
        self._stop_reading()
        return message

    return link.Link, "receive", receive


@looks_like(r"a ping .*was not answered|the end of the connection was not noticed|left after")
def nobody_tells_that_he_has_read() -> Patch:
    """The keeper leaves a connection to whoever reads it, and is not told when he stops."""
    return keeper.Keeper, "was_read", lambda self, link: None


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a bug in the package."""
    owner, attribute, value = PLANTS[name][0]()
    original = vars(owner)[attribute]
    setattr(owner, attribute, value)
    try:
        yield
    finally:
        setattr(owner, attribute, original)
