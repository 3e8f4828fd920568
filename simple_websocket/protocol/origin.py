"""Which pages may open a connection (RFC 6455 section 10.2).

Browsers send cookies with a WebSocket request whatever page made it, and name the page's origin: a server whose users log in
has to look at it.  Pure functions; no lock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from wsproto.events import Request

from ..errors import ConnectionError

__all__ = ["Origins", "check_origin"]

#: One origin, and how a user may say which are allowed.
Origin = str | re.Pattern[str] | Callable[[str | None], object] | None
Origins = Origin | Iterable[Origin]


def check_origin(request: Request, allowed: Origins) -> None:
    """Refuse a request from an origin that is not allowed.

    :param request: the client's, parsed.
    :param allowed: one origin or several; ``None`` alone for all.
    :raises ConnectionError: with status 403.
    """
    if allowed is None:
        return
    values = [value for name, value in request.extra_headers if name.lower() == b"origin"]
    origin = values[0].decode("latin-1") if values else None
    one = isinstance(allowed, (str, re.Pattern)) or callable(allowed)
    rules: Iterable[Origin] = (allowed,) if one else allowed  # type: ignore[assignment]
    if len(values) > 1 or not any(_matches(rule, origin) for rule in rules):
        raise ConnectionError(403, detail=f"the origin {origin} is not allowed" if origin else "the request names no origin")


def _matches(rule: Origin, origin: str | None) -> bool:
    if callable(rule):
        return bool(rule(origin))
    if origin is None or rule is None:
        return origin is None and rule is None
    if isinstance(rule, str):
        return rule.rstrip("/").lower() == origin.lower()
    return rule.fullmatch(origin) is not None
