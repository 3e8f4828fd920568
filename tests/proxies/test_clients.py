"""The check of what the clients have seen: it has to see what it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .clients import check

LEDGER = ["received 0-0", "sent 0-0", "received 0-1", "sent 0-1", "received 1-0"]


def good() -> dict[str, Any]:
    return {"acknowledged": ["0-0", "0-1"], "faults": [], "stuck": 0, "longest_wait": 4.9}


def test_nothing_is_wrong(tmp_path: Path) -> None:
    """1-0 was received by the server and not answered: it was not acknowledged."""
    ledger = tmp_path / "ledger"
    ledger.write_text("\n".join(LEDGER) + "\n")
    check(good(), ledger)


WRONG: dict[str, Callable[[dict[str, Any], list[str]], None]] = {
    "received twice": lambda report, ledger: ledger.append("received 0-0"),
    "sent twice": lambda report, ledger: ledger.append("sent 0-1"),
    "acknowledged twice": lambda report, ledger: report["acknowledged"].append("0-0"),
    "acknowledged by nobody": lambda report, ledger: report["acknowledged"].append("1-1"),
    "sent and not arrived": lambda report, ledger: ledger.append("sent 1-0"),
    "a wrong echo": lambda report, ledger: report["faults"].append("0-0 came back for 0-1"),
    "a client that hangs": lambda report, ledger: report.update(stuck=1),
    "a long wait": lambda report, ledger: report.update(longest_wait=5.1),
}


@pytest.mark.parametrize("what", WRONG)
def test_something_is_wrong(what: str, tmp_path: Path) -> None:
    report, entries, ledger = good(), list(LEDGER), tmp_path / "ledger"
    WRONG[what](report, entries)
    ledger.write_text("\n".join(entries) + "\n")
    with pytest.raises(AssertionError):
        check(report, ledger)


def test_what_a_killed_process_had_sent_may_be_lost(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.write_text("\n".join([*LEDGER, "sent 1-0"]) + "\n")
    check(good(), ledger, graceful=False)
