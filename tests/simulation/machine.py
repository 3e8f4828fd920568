"""A machine: a process of the simulation, with descriptors of its own and the `Backend` record that programs in it use."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any

from simple_websocket.backends import Backend
from simple_websocket.backends.selector import HubSelector
from simple_websocket.keeper import Keeper, _keepers, keeper_for

from .network import FAIR, Network
from .primitives import Event, Lock, Thread
from .scheduler import Scheduler, Task
from .sockets import Epoll, Socket, Waiter

__all__ = ["Machine"]


class Ordered(dict[Any, None]):
    """A set in the order of insertion: one whose order depends on addresses would make two runs of a seed differ."""

    add = dict.setdefault

    def discard(self, item: Any) -> None:
        self.pop(item, None)


class _Scope:
    """What the keeper of one machine is found by."""


class Machine:
    """A process.

    :param threads: whether it is like one of native threads (a blocking recv parks only the caller, and exceptions from
        outside come to the main thread) or like one of greenlets.
    """

    def __init__(self, scheduler: Scheduler, network: Network, name: str = "machine", threads: bool = False) -> None:
        self.scheduler = scheduler
        self.network = network
        self.name = name
        self.descriptors: dict[int, Any] = {}
        self.main_thread: Task = scheduler.main
        self._scope = _Scope()
        self.backend = Backend(
            name="simulation",
            thread_class=partial(Thread, scheduler),
            event_class=_EventClass(scheduler),
            selector_class=self._selector,
            lock=partial(Lock, scheduler),
            waiter=Waiter,
            clock=scheduler.clock,
            sleep=scheduler.sleep,
            socket=self.socket,
            socketpair=self.socketpair,
            getaddrinfo=self._getaddrinfo,
            scope=self._get_scope,
            parks_in_recv=threads,
            in_main_thread=self._in_main_thread,
        )
        self.keeper: Keeper = keeper_for(self.backend)
        for name, value in vars(self.keeper).items():
            if isinstance(value, set):
                setattr(self.keeper, name, Ordered())

    def new_descriptor(self, what: Any) -> int:
        """The lowest number that is free, as everywhere."""
        fd = 3
        while fd in self.descriptors:
            fd += 1
        self.descriptors[fd] = what
        return fd

    def free_descriptor(self, fd: int) -> None:
        del self.descriptors[fd]

    def end(self) -> None:
        """The process is over.  Its keeper, which holds what it is found by, would stay for ever, and say goodbye at the exit."""
        self.keeper._links.clear()
        _keepers.pop(self._scope, None)

    def socket(self, *arguments: Any) -> Socket:
        return Socket(self, *arguments)

    def socketpair(self) -> tuple[Socket, Socket]:
        one, other = Socket(self), Socket(self)
        self.network.connect(one, other, FAIR)
        return one, other

    def _selector(self) -> HubSelector:
        epoll = Epoll(self)
        return HubSelector(epoll, Waiter(epoll))

    def _get_scope(self) -> _Scope:
        return self._scope

    def _in_main_thread(self) -> bool:
        return self.scheduler.current is self.main_thread

    def _getaddrinfo(self, host: str, port: int, family: int = 0, kind: int = 0, *_: Any) -> list[Any]:
        self.scheduler.pause(True)
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, os.strerror(2))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]


class _EventClass:
    """Called without arguments, and looks like a class of events."""

    set, wait = Event.set, Event.wait

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def __call__(self) -> Event:
        return Event(self._scheduler)
