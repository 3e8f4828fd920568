"""Sockets, what waits for them, and the descriptors they have: as the kernel behaves towards a program.

Closing a descriptor wakes nobody who waits for it, and its number is soon in use again; both are what the shell must cope with.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .network import Pipe
from .scheduler import Task

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["Epoll", "Socket", "Waiter"]

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_HUP, _ERR = select.EPOLLHUP, select.EPOLLERR
_DONTWAIT = socket.MSG_DONTWAIT


class Watchable:
    """What has a descriptor, and tasks and epoll objects that wait for it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._scheduler = machine.scheduler
        self._fd = machine.new_descriptor(self)
        self._waiting: list[Task] = []
        self.epolls: list[Epoll] = []

    def fileno(self) -> int:
        return self._fd

    def changed(self) -> None:
        """Let whoever waits look again."""
        if self._waiting:
            for task in self._waiting:
                self._scheduler.wake(task)
            self._waiting.clear()
        for epoll in self.epolls:
            epoll.changed()

    def wait_until(self, condition: Callable[[], Any], timeout: float | None, what: str) -> bool:
        """Park the caller until it holds, or for so long; return whether it does."""
        scheduler = self._scheduler
        deadline = None if timeout is None else scheduler.now + max(0.0, timeout)
        me = scheduler.current
        while not condition():
            if timeout is not None and timeout <= 0:
                return False
            self._waiting.append(me)
            try:
                woken = scheduler.park(deadline, what)
            finally:
                if me in self._waiting:
                    self._waiting.remove(me)
            if not woken:
                return bool(condition())
        return True

    def _give_up_descriptor(self) -> None:
        self._machine.free_descriptor(self._fd)
        for epoll in list(self.epolls):
            epoll.forget(self._fd, self)
        self._fd = -1

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._fd} of {self._machine.name}>"


class Socket(Watchable):
    """As `socket.socket`, for TCP and what the shell uses of it."""

    type, proto = socket.SOCK_STREAM, 0

    def __init__(self, machine: Machine, family: int = socket.AF_INET, kind: int = 0, proto: int = 0) -> None:
        super().__init__(machine)
        self._network = machine.network
        self.family = family
        self.state = "new"  # then connecting or listening, connected, closed
        self.sending: Pipe | None = None
        self.receiving: Pipe | None = None
        self.waited_for: dict[str, Task] = {}  # who is parked in a Waiter, for which direction
        #: Called with the socket of each connection that a listener gets, before a byte is written.
        self.on_connection: Callable[[Socket], Any] = lambda other: None
        self._timeout: float | None = None
        self._error = 0
        self._reading_shut = self._writing_shut = self._lost = False
        self._address: Any = ("0.0.0.0", 0)
        self._linger_none = False
        self._queue: list[Socket] = []
        self._backlog = 0

    # What selectors see

    @property
    def readable(self) -> bool:
        if self.state == "listening":
            return bool(self._queue) or self._reading_shut
        if self.state == "connected":
            pipe = self.receiving
            assert pipe is not None
            return bool(pipe.arrived or pipe.ended or self._reading_shut or self._lost)
        return self.state != "connecting"

    @property
    def writable(self) -> bool:
        if self.state == "connected":
            assert self.sending is not None
            return self._writing_shut or self._lost or self.sending.room > 0
        return self.state in ("new", "failed", "closed")

    @property
    def events(self) -> int:
        """What epoll would report."""
        mask = (_IN if self.readable else 0) | (_OUT if self.writable else 0)
        if self._error:
            mask |= _ERR
        ended = self.receiving is not None and self.receiving.ended
        if self._lost or self.state in ("new", "failed") or (self._writing_shut and (self._reading_shut or ended)):
            mask |= _HUP
        return mask

    # Options

    def setblocking(self, flag: bool) -> None:
        self._check_open()
        self._timeout = None if flag else 0.0

    def settimeout(self, timeout: float | None) -> None:
        self._check_open()
        self._timeout = timeout

    def gettimeout(self) -> float | None:
        return self._timeout

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        self._check_open()
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._linger_none = True  # the only use that anybody here makes of it

    def getsockopt(self, level: int, option: int) -> int:
        self._check_open()
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR)
        error, self._error = self._error, 0
        return error

    def getsockname(self) -> Any:
        return self._address

    # Connecting and accepting

    def bind(self, address: Any) -> None:
        host, port = address[:2]
        self._address = (host, port or self._network.free_port())

    def listen(self, backlog: int = 64) -> None:
        self.state, self._backlog = "listening", backlog
        self._network.listeners[self._address[1]] = self

    def accept(self) -> tuple[Socket, Any]:
        self._scheduler.pause(True)
        self._check_open()
        if self._reading_shut:
            raise OSError(errno.EINVAL, "not listening any more")
        if not self._queue:
            if self._timeout == 0:
                raise BlockingIOError(errno.EAGAIN, "nobody has connected")
            if not self.wait_until(lambda: self.readable, self._timeout, "somebody who connects"):
                raise TimeoutError(errno.ETIMEDOUT, "timed out")
            return self.accept()
        return self._queue.pop(0), ("127.0.0.1", 0)

    def connect(self, address: Any) -> None:
        status = self.connect_ex(address)
        if status:
            raise OSError(status, "connecting")  # becomes BlockingIOError and the like by itself

    def connect_ex(self, address: Any) -> int:
        self._scheduler.pause(True)
        self._check_open()
        self.state = "connecting"
        dice, weather = self._scheduler.random.random, self._network.weather
        self._scheduler.at(self._scheduler.now + dice() * weather.delay, lambda: self._arrive_at(address[1]))
        return errno.EINPROGRESS

    def _arrive_at(self, port: int) -> None:
        if self.state != "connecting":
            return
        listener = self._network.listeners.get(port)
        if listener is None or listener.state != "listening" or listener._reading_shut:
            self.state, self._error = "failed", errno.ECONNREFUSED
        elif len(listener._queue) > listener._backlog:
            return  # dropped, as Linux does it
        else:
            other = Socket(listener._machine)
            self._network.connect(self, other)
            other._address = listener._address
            listener.on_connection(other)
            listener._queue.append(other)
            listener.changed()
        self.changed()

    # Data

    def recv(self, size: int, flags: int = 0) -> bytes:
        self._scheduler.pause(True)
        self._check_connected()
        if not self.readable:
            if self._timeout == 0 or flags & _DONTWAIT:
                raise BlockingIOError(errno.EAGAIN, "nothing has arrived")
            if not self.wait_until(lambda: self.readable, self._timeout, f"data for {self}"):
                raise TimeoutError(errno.ETIMEDOUT, "timed out")
        pipe = self.receiving
        assert pipe is not None
        if pipe.arrived:
            data = pipe.read(size)
            if self._scheduler.notes is not None:
                self._scheduler.note(f"recv {len(data)} on {self}")
            return data
        if self._error:
            error, self._error = self._error, 0
            raise OSError(error, "reset")
        if self._scheduler.notes is not None:
            self._scheduler.note(f"recv finds the end on {self}")
        return b""

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        with memoryview(buffer) as view:
            data = self.recv(size or len(view), flags)
            view[: len(data)] = data
            return len(data)

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        self._scheduler.pause(True)
        self._check_connected()
        if not self.writable:
            if self._timeout == 0 or flags & _DONTWAIT:
                raise BlockingIOError(errno.EAGAIN, "there is no room")
            if not self.wait_until(lambda: self.writable, self._timeout, f"room on {self}"):
                raise TimeoutError(errno.ETIMEDOUT, "timed out")
        if self._error:
            error, self._error = self._error, 0
            raise OSError(error, "reset")
        if self._writing_shut or self._lost:
            raise BrokenPipeError(errno.EPIPE, "nobody takes it")
        assert self.sending is not None
        size = self.sending.write(data) if data else 0
        if self._scheduler.notes is not None:
            self._scheduler.note(f"send {size} of {len(data)} on {self}")
        return size

    def sendall(self, data: bytes | memoryview) -> None:
        while data:
            data = data[self.send(data) :]

    # The end

    def shutdown(self, how: int) -> None:
        self._scheduler.pause()
        self._check_open()
        if self.state == "listening":
            self._reading_shut = True
            return self.changed()
        if self.state != "connected" or self._lost:
            raise OSError(errno.ENOTCONN, "not connected")
        if self._scheduler.notes is not None:
            self._scheduler.note(f"shutdown {how} on {self}")
        if how in (socket.SHUT_WR, socket.SHUT_RDWR) and not self._writing_shut:
            self._writing_shut = True
            assert self.sending is not None
            self.sending.end()
        if how in (socket.SHUT_RD, socket.SHUT_RDWR):
            self._reading_shut = True
        self.changed()

    def close(self) -> None:
        if self.state == "closed":
            return
        self._scheduler.pause()
        if self.state == "closed":
            return
        if self._scheduler.notes is not None:
            self._scheduler.note(f"close {self}")
        before, self.state = self.state, "closed"
        self._give_up_descriptor()
        if before == "listening":
            self._network.listeners.pop(self._address[1], None)
            for other in self._queue:
                other.close()
        elif before == "connected" and not self._lost:
            assert self.sending is not None and self.receiving is not None
            if self._linger_none or self.receiving.arrived:
                self.sending.reset()
            elif not self._writing_shut:
                self.sending.end()

    def was_reset(self, forget: bool) -> None:
        """The network says so."""
        if self._lost or self.state != "connected":
            return
        if self._scheduler.notes is not None:
            self._scheduler.note(f"reset arrives on {self}")
        self._lost, self._error = True, errno.ECONNRESET
        assert self.receiving is not None
        if forget:
            self.receiving.arrived.clear()
        self.changed()

    def _check_open(self) -> None:
        if self.state == "closed":
            raise OSError(errno.EBADF, "Bad file descriptor")

    def _check_connected(self) -> None:
        self._check_open()
        if self.state != "connected":
            raise OSError(errno.ENOTCONN, "not connected")


class Waiter:
    """As the presets' waiters: one reader and one writer at a time, for one socket."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def readable(self, timeout: float | None) -> bool:
        return self._wait("readable", timeout)

    def writable(self, timeout: float | None) -> bool:
        return self._wait("writable", timeout)

    def _wait(self, what: str, timeout: float | None) -> bool:
        sock = self._sock
        scheduler = sock._scheduler
        scheduler.pause(True)
        if sock.fileno() < 0:
            raise ValueError("the socket is closed")
        assert what not in sock.waited_for, f"{sock.waited_for[what].name} waits for {sock} to be {what}, and now another one"
        sock.waited_for[what] = scheduler.current
        try:
            return bool(sock.wait_until(lambda: getattr(sock, what), timeout, f"{sock} to be {what}"))
        finally:
            del sock.waited_for[what]

    def close(self) -> None:
        assert not self._sock.waited_for, f"the waiter is closed while somebody waits: {self._sock.waited_for}"


class Epoll(Watchable):
    """As `select.epoll`, level-triggered; a descriptor that is closed is forgotten without a word."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._watched: dict[int, tuple[Watchable, int]] = {}
        self.waited_for: dict[str, Task] = {}

    def register(self, fd: int, mask: int) -> None:
        self._scheduler.pause()
        if fd in self._watched:
            raise FileExistsError(errno.EEXIST, "registered already")
        found = self._machine.descriptors.get(fd)
        if found is None:
            raise OSError(errno.EBADF, "Bad file descriptor")
        self._watched[fd] = found, mask
        found.epolls.append(self)
        self.changed()

    def modify(self, fd: int, mask: int) -> None:
        self._scheduler.pause()
        if fd not in self._watched:
            raise FileNotFoundError(errno.ENOENT, "not registered")
        self._watched[fd] = self._watched[fd][0], mask
        self.changed()

    def unregister(self, fd: int) -> None:
        self._scheduler.pause()
        if fd not in self._watched:
            raise FileNotFoundError(errno.ENOENT, "not registered")
        self.forget(fd, self._watched[fd][0])

    def forget(self, fd: int, watched: Watchable) -> None:
        """The descriptor is closed."""
        found = self._watched.get(fd)
        if found is not None and found[0] is watched:
            del self._watched[fd]
            watched.epolls.remove(self)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        self._scheduler.pause()
        found = self._ready()
        return found if found or timeout == 0 else self._wait(timeout)

    def _wait(self, timeout: float | None) -> list[tuple[int, int]]:
        self.wait_until(lambda: self.readable, timeout, f"one of {sorted(self._watched)}")
        return self._ready()

    def _ready(self) -> list[tuple[int, int]]:
        found = []
        for fd, (watched, mask) in self._watched.items():
            events = watched.events & (mask | _HUP | _ERR)
            if events:
                found.append((fd, events))
        return found

    @property
    def readable(self) -> bool:
        return any(watched.events & (mask | _HUP | _ERR) for watched, mask in self._watched.values())

    def close(self) -> None:
        for fd, (watched, _) in list(self._watched.items()):
            self.forget(fd, watched)
        self._give_up_descriptor()
