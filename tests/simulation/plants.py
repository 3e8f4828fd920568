"""Planted bugs: what the simulation must find.  Each is a patch of the package, applied in this process and taken back.

They are put in where the bug would be: a lock that is not taken, a wake-up that comes too early, bytes that are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from simple_websocket import keeper, link, outbound, transport

__all__ = ["PLANTS", "planted"]

Patch = tuple[Any, str, Any]


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


def no_write_lock() -> Patch:
    """Two senders may write at once."""
    original = outbound.Outbound.__init__

    def make(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        self.lock = _Open()

    return outbound.Outbound, "__init__", make


def cleared_after_the_check() -> Patch:
    """The keeper looks whether there is something to do, then clears its wake-up, then waits."""
    original = keeper.Keeper._patience

    def patience(self: Any, sockets: Any) -> Any:
        timeout = original(self, sockets)
        for _ in range(5):
            self._backend.sleep(0)
        try:
            sockets._wake_in.recv(4096)
        except OSError:
            pass
        return timeout

    return keeper.Keeper, "_patience", patience


def no_wake_up_on_close() -> Patch:
    """The end of a connection does not shut the socket down, so whoever waits for it goes on waiting."""
    return transport.Transport, "shutdown", lambda self: None


def keeper_without_the_read_lock() -> Patch:
    """The keeper reads a connection that somebody else may be reading."""

    def pump(self: Any) -> Any:
        more = self._inbound.read_ahead()
        if self.protocol.state is link.State.CLOSED and (self.protocol.lost or not self._client):
            self._finish(reading=True, patient=False, by_keeper=True)
        return more

    return link.Link, "pump", pump


def the_rest_is_forgotten() -> Patch:
    """What the socket did not take at once is not written."""

    def write(self: Any, frame: Any, deadline: Any) -> bool:
        data = frame if isinstance(frame, bytes) else b"".join(frame)
        if data:
            self._try(data)
        self._unsure = False
        return True

    return outbound.Outbound, "_write", write


def nobody_looks_after_letting_go() -> Patch:
    """A pong that was queued while somebody wrote is left to nobody."""

    def send(self: Any, frame: Any, *arguments: Any) -> bool:
        with self.lock:
            return bool(self._write(frame(*arguments), None))

    return outbound.Outbound, "send", send


def the_lock_is_kept() -> Patch:
    """An exception from outside in receive() leaves the read lock taken."""

    def receive(self: Any, timeout: Any) -> Any:
        self.turn += 1
        deadline = None if timeout is None else self._clock() + timeout
        if not outbound.acquire(self.read_lock, deadline, self._clock):
            return None
        message = self._receive(deadline)
        self.read_lock.release()
        return message

    return link.Link, "receive", receive


PLANTS: dict[str, Callable[[], Patch]] = {
    plant.__name__: plant
    for plant in (
        no_write_lock,
        cleared_after_the_check,
        no_wake_up_on_close,
        keeper_without_the_read_lock,
        the_rest_is_forgotten,
        nobody_looks_after_letting_go,
        the_lock_is_kept,
    )
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a bug in the package."""
    owner, attribute, value = PLANTS[name]()
    original = vars(owner)[attribute]
    setattr(owner, attribute, value)
    try:
        yield
    finally:
        setattr(owner, attribute, original)
