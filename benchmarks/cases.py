"""Cases: what load is put on a subject."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["FULL_CASES", "GROWTH_CASES", "MODES", "SHORT_CASES", "Case"]

_NAME = re.compile(r"(\d+)x(\d+)(?:x(\d+))?(-binary)?(?:-(tls|deflate))?")

#: How a connection is carried: as it is, in TLS, or with permessage-deflate.
MODES = ("plain", "tls", "deflate")


@dataclass(frozen=True)
class Case:
    """Connections that each send messages and wait for their echoes.

    :param connections: how many.
    :param size: bytes of a message's payload.
    :param in_flight: messages that a connection has sent and not got back yet.  Default: 1, ping-pong.
    :param binary: whether messages are binary.  Default: ``False``, text.
    :param mode: one of `MODES`.  Default: plain.
    """

    connections: int
    size: int
    in_flight: int = 1
    binary: bool = False
    mode: str = "plain"

    @classmethod
    def parse(cls, name: str) -> Case:
        """Return the case with a name like ``32x64``, ``32x64x8`` or ``1x65536-binary-tls``.

        :raises ValueError: it is no such name.
        """
        match = _NAME.fullmatch(name)
        numbers = [int(part or 1) for part in match.groups()[:3]] if match else [0]
        if match is None or not all(numbers):
            raise ValueError(
                f"{name!r} is no case: write CONNECTIONSxBYTES or CONNECTIONSxBYTESxIN_FLIGHT, then -binary, -tls or -deflate, "
                "for example 32x64 or 1x65536-binary-tls"
            )
        return cls(*numbers, binary=match[4] is not None, mode=match[5] or "plain")

    @property
    def name(self) -> str:
        """The shortest name that `parse` takes."""
        many = f"x{self.in_flight}" if self.in_flight > 1 else ""
        mode = "" if self.mode == "plain" else f"-{self.mode}"
        return f"{self.connections}x{self.size}{many}{'-binary' if self.binary else ''}{mode}"


def _cases(*names: str) -> tuple[Case, ...]:
    return tuple(Case.parse(name) for name in names)


SHORT_CASES = _cases("1x64", "32x64", "32x64x16", "1x65536", "1x1048576-binary", "32x64-tls", "32x1024-deflate")

FULL_CASES = _cases(
    "1x64", "1x1024", "1x16384", "1x65536", "1x262144", "1x1048576",
    "32x64", "32x1024", "32x16384", "32x65536", "1x64x16", "32x64x16",
    "1x64-binary", "32x64-binary", "1x1024-binary", "1x65536-binary", "1x1048576-binary",
    "1x64-tls", "32x64-tls", "1x65536-tls", "1x1048576-binary-tls",
    "1x64-deflate", "32x64-deflate", "32x1024-deflate", "1x65536-deflate", "1x1048576-binary-deflate",
)  # fmt: skip

#: How the CPU per message grows with the number of active connections.
GROWTH_CASES = _cases("1x64", "10x64", "100x64", "1000x64", "5000x64")
