"""The ratios that must not be exceeded: CPU per message of one subject by that of another, in the same run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COMPARISONS", "Comparison"]


@dataclass(frozen=True)
class Comparison:
    """Two subjects that are compared.

    :param subject: name of the one that is ours.
    :param against: name of the other.
    :param limit: the ratio that must not be exceeded.
    :param goal: the ratio to get to.
    :param cases: where that holds; in other cases the ratio is only shown.
    """

    subject: str
    against: str
    limit: float
    goal: float
    cases: tuple[str, ...]


COMPARISONS = (
    Comparison("ours-threads", "bare-threads", 1.8, 1.6, ("1x64",)),
    Comparison("ours-threads", "websockets-sync", 0.33, 0.33, ("1x64", "32x64")),
    Comparison("ours-gevent", "bare-gevent", 1.6, 1.4, ("1x64",)),
    Comparison("ours-gevent", "gevent-websocket", 0.65, 0.65, ("1x64", "32x64")),
    Comparison("ours-eventlet", "bare-eventlet", 1.4, 1.4, ("1x64",)),
    Comparison("ours-eventlet", "eventlet.websocket", 0.5, 0.5, ("1x64",)),
    Comparison("ours-asyncio", "bare-asyncio", 1.9, 1.9, ("32x64",)),
    Comparison("ours-asyncio", "websockets-asyncio", 1.0, 1.0, ("1x64", "32x64")),
    Comparison("ours-aiohttp", "aiohttp", 1.0, 0.75, ("32x64",)),
)
