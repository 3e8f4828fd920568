"""fork() as the users of each family do it, and a child that is waited for."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["CAN_FORK", "child_of", "fork", "in_child", "status_of"]

CAN_FORK = hasattr(os, "fork")


def fork(family: str) -> int:
    """Fork as its documentation asks for it: gevent's hub is made anew in the child, eventlet's replaced.

    :param family: "threading", "gevent", "eventlet" or "asyncio".
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: fork in a process with threads
        if _hub_waits(family):
            import gevent.os

            return int(gevent.os.fork())
        if family == "gevent":
            import gevent.os

            return int(gevent.os.fork_gevent())
        pid = os.fork()
    if pid == 0 and family == "eventlet":
        import eventlet.hubs

        eventlet.hubs.use_hub()
    return pid


def _hub_waits(family: str) -> bool:
    """Whether gevent's hub gets to know of every child's end, and nobody else does: so it is when it patches, and not before.

    Afterwards `subprocess`, where it is not patched, would find no child any more and take it that each has ended with 0.
    """
    if family != "gevent":
        return False
    import gevent.monkey

    return bool(gevent.monkey.is_module_patched("os"))


def status_of(family: str, pid: int) -> int | None:
    """Return what `os.waitpid` says of a child, once; ``None`` while it runs."""
    if _hub_waits(family):
        import gevent.os

        found, status = gevent.os.waitpid(pid, os.WNOHANG)
    else:
        found, status = os.waitpid(pid, os.WNOHANG)
    return status if found else None


@contextmanager
def child_of(family: str, action: Callable[[], Any]) -> Iterator[Callable[[], int | None]]:
    """Run a function in a forked child, which ends without a clean-up of its copy of everything.

    Gives a function that returns the child's exit status, ``None`` until then; 0 when the function has returned.
    """
    pid = fork(family)
    if pid == 0:
        status = 1
        try:
            faulthandler.register(signal.SIGUSR1, file=sys.__stderr__)
            action()
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    ended: list[int] = []

    def status() -> int | None:
        if not ended and (found := status_of(family, pid)) is not None:
            ended.append(found)
        return ended[0] if ended else None

    try:
        yield status
    finally:
        if status() is None:
            os.kill(pid, signal.SIGUSR1)  # it says where it is
            time.sleep(0.2)
            os.kill(pid, signal.SIGKILL)


def in_child(world: Any, action: Callable[[], Any]) -> None:
    """Run a function in a forked child, and wait for its end; it must return."""
    with child_of(world.name, action) as status:
        world.until(lambda: status() is not None, 20, "the end of the child")
        assert status() == 0
