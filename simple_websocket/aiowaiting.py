"""Calls of an asyncio connection that wait: `Waiters` for something to happen, `Receivers` for a message.

Everything runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from .protocol.unread import Unread

__all__ = ["Receivers", "Waiters"]

# A future that can have its task go on at once, in C; asyncio's own has it do that at the loop's next turn.
Receiver: Any = None

if not os.environ.get("SIMPLE_WEBSOCKET_PURE"):
    try:
        from ._aiospeedups import Receiver  # type: ignore[import-not-found, no-redef, unused-ignore]
    except ImportError:
        pass  # there was no compiler


# Before Python 3.12 asyncio's is written in Python, and costs a twentieth of a small message.
_current_task: Any = asyncio.current_task if sys.version_info >= (3, 12) else asyncio.tasks._current_tasks.get  # type: ignore[attr-defined, unused-ignore]


class Waiters(list["asyncio.Future[Any]"]):
    """Calls that wait, in the order in which they came."""

    __slots__ = ()

    def new_waiter(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        """Return what a call is to wait for, when it has been appended."""
        return loop.create_future()

    def stand_back(self, waiter: asyncio.Future[Any]) -> None:
        """Leave, woken or not."""
        if waiter in self:
            self.remove(waiter)

    async def wait(self, loop: asyncio.AbstractEventLoop, timeout: float | None = None) -> Any:
        """Wait until woken, or for `timeout` seconds; return what one is woken with."""
        waiter = self.new_waiter(loop)
        self.append(waiter)
        timer = None if timeout is None else loop.call_later(timeout, _wake, waiter)
        try:
            return await waiter
        except BaseException:
            self.stand_back(waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()
                if waiter in self:
                    self.remove(waiter)

    def wake_all(self) -> None:
        """Wake everybody."""
        while self:
            _wake(self.pop(0))


def _wake(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Receivers(Waiters):
    """Calls that wait for a message: there are none while a message waits to be received.

    :param unread: takes the messages for which nobody waits.
    """

    __slots__ = ("_unread",)

    def __init__(self, unread: Unread) -> None:
        super().__init__()
        self._unread = unread

    def hand(self, message: str | bytes, caller: asyncio.AbstractEventLoop | None = None) -> bool:
        """Give a message to who has waited longest; return whether there is anybody.

        :param caller: the event loop where it has called, and not a task: then who gets the message goes on before this
            returns, and not at the loop's next turn.  Default: ``None``.
        """
        at_once = caller is not None and Receiver is not None and _current_task(caller) is None
        while self:
            receiver: Any = self.pop(0)
            if not receiver.done():
                (receiver.resume if at_once else receiver.set_result)(message)
                return True
        return False

    def new_waiter(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        """Return what a call is to wait for, when it has been appended."""
        receiver: asyncio.Future[Any] = loop.create_future() if Receiver is None else Receiver(loop)
        return receiver

    def stand_back(self, waiter: asyncio.Future[Any]) -> None:
        """Leave; who was given a message and is cancelled before it runs hands it on."""
        if waiter.done() and not waiter.cancelled():
            message = waiter.result()
            if message is not None and not self.hand(message):
                self._unread.put_back(message)
        else:
            super().stand_back(waiter)
