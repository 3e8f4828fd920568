"""Cases: what load is put on a subject."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["DEFAULT_CASES", "Case"]

_NAME = re.compile(r"(\d+)x(\d+)(?:x(\d+))?")


@dataclass(frozen=True)
class Case:
    """Connections that each send text messages and wait for their echoes.

    :param connections: how many.
    :param size: bytes of a message's payload.
    :param in_flight: messages that a connection has sent and not got back yet.  Default: 1, ping-pong.
    """

    connections: int
    size: int
    in_flight: int = 1

    @classmethod
    def parse(cls, name: str) -> Case:
        """Return the case with a name like ``32x64`` or ``32x64x8``.

        :raises ValueError: it is no such name.
        """
        match = _NAME.fullmatch(name)
        numbers = [int(part) for part in match.groups("1")] if match else [0]
        if not all(numbers):
            raise ValueError(f"{name!r} is no case: write CONNECTIONSxBYTES or CONNECTIONSxBYTESxIN_FLIGHT, for example 32x64")
        return cls(*numbers)

    @property
    def name(self) -> str:
        """The shortest name that `parse` takes."""
        return f"{self.connections}x{self.size}" + (f"x{self.in_flight}" if self.in_flight > 1 else "")


DEFAULT_CASES = ("1x64", "32x64")
