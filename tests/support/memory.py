"""How much memory a process takes: resident bytes now, and at the most."""

from __future__ import annotations

import gc

KIB, MIB = 1024, 1024 * 1024


def resident(pid: int | str = "self") -> tuple[int, int]:
    """Return (bytes resident now, the most there were since `forget`)."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        values = dict(line.split(":", 1) for line in status)
    return int(values["VmRSS"].split()[0]) * KIB, int(values["VmHWM"].split()[0]) * KIB


def forget(pid: int | str = "self") -> None:
    """Begin anew with the most there was."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as clear:
        clear.write("5")


class Growth:
    """How much more memory this process has come to take since this was made."""

    def __init__(self) -> None:
        gc.collect()
        forget()
        self._before = resident()[0]

    def peak(self) -> int:
        """Return by how many bytes it grew at the most."""
        return resident()[1] - self._before
