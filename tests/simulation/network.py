"""The network: streams that split what is written at any byte, delay it, hold it back, and cut it.

A `Pipe` is one direction of a connection: what is in flight, what has arrived, and how much of both there may be.  Sockets
are in ``sockets.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .scheduler import Scheduler

if TYPE_CHECKING:
    from .sockets import Socket

__all__ = ["FAIR", "Network", "Pipe", "Weather"]


@dataclass(frozen=True)
class Weather:
    """What the network does to streams.

    :param capacity: bytes that are taken before the reader reads.
    :param cut: probability that a write is taken in part, and that a read gives a part of what is there.
    :param split: probability that what was written at once arrives at two times.
    :param delay: seconds that a segment takes, at most.
    :param hold: probability that a segment takes a hundred times as long.
    :param forget: probability that a reset takes away what has arrived and was not read; on Linux it does not.
    """

    capacity: int = 1 << 17
    cut: float = 0.0
    split: float = 0.0
    delay: float = 0.0
    hold: float = 0.0
    forget: float = 0.0


FAIR = Weather()


class Network:
    """What all machines are connected to."""

    def __init__(self, scheduler: Scheduler, weather: Weather = FAIR) -> None:
        self.scheduler = scheduler
        self.weather = weather
        self.listeners: dict[int, Socket] = {}
        self._port = 40000

    def free_port(self) -> int:
        self._port += 1
        return self._port

    def connect(self, one: Socket, other: Socket, weather: Weather | None = None) -> None:
        """Connect two sockets."""
        weather = weather or self.weather
        one.sending = other.receiving = Pipe(self.scheduler, weather, one, other)
        other.sending = one.receiving = Pipe(self.scheduler, weather, other, one)
        one.state = other.state = "connected"


class Pipe:
    """One direction of a connection."""

    def __init__(self, scheduler: Scheduler, weather: Weather, writer: Socket, reader: Socket) -> None:
        self._scheduler = scheduler
        self._dice = scheduler.random.random
        self._weather = weather
        self._writer = writer
        self._reader = reader
        self._in_flight = 0
        self._last = 0.0  # when the latest segment arrives: none overtakes another
        self.arrived = bytearray()
        self.ended = False  # the end of the stream has arrived
        self.black = False  # nothing arrives any more, and nobody is told
        #: Is given every byte that was written.
        self.tap: Callable[[bytes], None] | None = None

    @property
    def room(self) -> int:
        return self._weather.capacity - self._in_flight - len(self.arrived)

    @property
    def latest(self) -> float:
        """When the last of what was written has arrived, or will."""
        return self._last

    # The writer's end

    def write(self, data: bytes | memoryview) -> int:
        """Take some of it, at least a byte; there is room."""
        size = min(len(data), self.room)
        weather = self._weather
        if weather.cut and size > 1 and self._dice() < weather.cut:
            size = 1 + int(self._dice() * (size - 1))
        taken = bytes(data[:size])
        if self.tap is not None:
            self.tap(taken)
        self._in_flight += size
        while weather.split and len(taken) > 1 and self._dice() < weather.split:
            at = 1 + int(self._dice() * (len(taken) - 1))
            self._travel(taken[:at], self._arrive)
            taken = taken[at:]
        self._travel(taken, self._arrive)
        return size

    def end(self) -> None:
        """Let the end of the stream follow what was written."""
        self._travel(b"", self._arrive_end)

    def reset(self) -> None:
        """Let a reset follow what was written."""
        self._travel(b"", self._arrive_reset)

    def _travel(self, data: bytes, arrive: Callable[[bytes], None]) -> None:
        if self.black:
            return
        weather, scheduler = self._weather, self._scheduler
        delay = self._dice() * weather.delay if weather.delay else 0.0
        if weather.hold and self._dice() < weather.hold:
            delay = (delay + 0.005) * 100
        when = max(self._last, scheduler.now + delay)
        if when <= scheduler.now:
            arrive(data)
            return
        self._last = when
        scheduler.at(when, lambda: arrive(data))

    # What happens at the reader's end

    def _arrive(self, data: bytes) -> None:
        if self.black:
            return
        self._in_flight -= len(data)
        reader = self._reader
        if reader.state == "closed":
            # Nobody is there: the other side is told so.
            if reader.sending is not None:
                reader.sending.reset()
            return
        self.arrived += data
        reader.changed()

    def _arrive_end(self, _: bytes) -> None:
        if not self.black:
            self.ended = True
            self._reader.changed()

    def _arrive_reset(self, _: bytes) -> None:
        if not self.black:
            self._reader.was_reset(forget=self._weather.forget > 0 and self._dice() < self._weather.forget)

    def read(self, size: int) -> bytes:
        """Return what has arrived, or a part of it."""
        size = min(size, len(self.arrived))
        if self._weather.cut and size > 1 and self._dice() < self._weather.cut:
            size = 1 + int(self._dice() * (size - 1))
        with memoryview(self.arrived) as view:
            data = bytes(view[:size])
        del self.arrived[:size]
        self._writer.changed()
        return data

    def vanish(self) -> None:
        """From now on nothing arrives, as if the cable had been cut."""
        self.black = True
