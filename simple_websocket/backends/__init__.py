"""Backends: where every primitive comes from that a connection needs to run on threads, gevent or eventlet.

`Backend` is the record of them, `resolve` finds the right one.  The presets live in ``threading.py``, ``gevent.py`` and
``eventlet.py`` and are imported only when they are asked for.  Records do not change once made, so no lock is needed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, Protocol

__all__ = ["Backend", "Event", "Lock", "Waiter", "resolve"]

FAMILIES = ("threading", "gevent", "eventlet")


class Lock(Protocol):
    """What is needed of a lock.

    It is held with ``with`` wherever a user's thread does so often: a signal handler's exception cannot come between acquiring
    and the block then, as it can behind a call of `acquire`, and leave the lock taken for ever.
    """

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *_: Any) -> Any: ...


class Event(Protocol):
    """What is needed of an event, as `threading.Event` has it."""

    def set(self) -> None: ...
    def wait(self, timeout: float | None = None) -> Any: ...


class Waiter(Protocol):
    """Parks the calling thread or greenlet until one socket is ready; at most one reader and one writer at a time."""

    def readable(self, timeout: float | None) -> bool: ...
    def writable(self, timeout: float | None) -> bool: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Backend:
    """Every primitive of one concurrency family.

    :param name: ``"threading"``, ``"gevent"``, ``"eventlet"`` or a name of your own.
    :param thread_class: called as ``thread_class(target=f)``, has ``start()``.
    :param event_class: called without arguments, has ``set()`` and ``wait(timeout)``.
    :param selector_class: called without arguments, a `selectors.BaseSelector`.
    :param lock: makes a lock of this family.
    :param waiter: makes a `Waiter` for a non-blocking socket.
    :param clock: monotonic time in seconds.
    :param sleep: parks the calling thread or greenlet for some seconds; with 0 all others have their turn first.
    :param socket: makes a client's socket, as `socket.socket` does.
    :param socketpair: makes two connected sockets.
    :param getaddrinfo: name resolution that parks only the caller.
    :param scope: what a keeper may serve: connections with equal scopes share one.
    :param parks_in_recv: whether a plain blocking ``recv`` parks only the caller, as it does for native threads.
    :param in_main_thread: whether the caller is the thread in which signal handlers run; asked for with `parks_in_recv` only.
    :param raw: returns the object in a non-blocking plain socket whose ``recv`` and ``send`` are system calls and nothing else.
    :param told_to_stop: whether the process is about to end; looked at now and then.  Default ``None``: it does not matter.
    """

    name: str
    thread_class: Any
    event_class: Callable[[], Event]
    selector_class: Any
    lock: Callable[[], Lock]
    waiter: Callable[[Any], Waiter]
    clock: Callable[[], float]
    sleep: Callable[[float], Any]
    socket: Any
    socketpair: Callable[[], tuple[Any, Any]]
    getaddrinfo: Callable[..., Any]
    scope: Callable[[], Hashable]
    parks_in_recv: bool = False
    in_main_thread: Callable[[], bool] = lambda: True
    raw: Callable[[Any], Any] = lambda sock: sock
    told_to_stop: Callable[[], bool] | None = None


def resolve(
    sock: object = None,
    backend: str | Backend | None = None,
    thread_class: Any = None,
    event_class: Any = None,
    selector_class: Any = None,
) -> Backend:
    """Return the backend that fits what is given: injected classes, a name, the socket, what is monkey-patched.

    :param sock: the connection's socket, when there is one already.
    :param backend: name of a preset, or a record.  Default ``None``: find it.
    :param thread_class: instead of the preset's.  Default ``None``.
    :param event_class: instead of the preset's.  Default ``None``.
    :param selector_class: instead of the preset's.  Default ``None``.
    :raises ValueError: an unknown name, or things of two families, which would block each other.
    :raises ImportError: the family's package is not installed.
    """
    classes = {"thread_class": thread_class, "event_class": event_class, "selector_class": selector_class}
    injected = {name: given for name, given in classes.items() if given is not None}
    if isinstance(backend, Backend):
        return _with(backend, injected)
    patched = _patched_family()
    votes: dict[str, str] = {}
    if backend is not None:
        if backend not in FAMILIES:
            raise ValueError(f"unknown backend {backend!r}; choose one of {', '.join(FAMILIES)}, or pass a Backend record")
        if backend == "threading" and patched:
            raise ValueError(f"backend 'threading' cannot be used: {patched} has monkey-patched this process; leave backend= out")
        votes[f"backend={backend!r}"] = backend
    for name, given in injected.items():
        family = _family_of(given)
        if family:
            # Under monkey-patching the standard library's classes are the patching family's.
            label = f"{name} {getattr(given, '__qualname__', given)}"
            votes[label] = patched or family if family == "threading" else family
    if sock is not None and (family := _family_of(type(sock))) in ("gevent", "eventlet"):
        votes[f"the {type(sock).__module__} socket"] = family
    first = next(iter(votes), None)
    chosen = votes[first] if first else patched or "threading"
    for label, family in votes.items():
        if family != chosen:
            raise ValueError(
                f"{first} belongs to {chosen}, but {label} to {family}: "
                "a connection needs one family, because their locks and threads block each other"
            )
    return _with(_preset(chosen), injected)


def _with(backend: Backend, injected: dict[str, Any]) -> Backend:
    if not injected:
        return backend
    event_class = injected.get("event_class")
    if event_class is not None and not (hasattr(event_class, "set") and hasattr(event_class, "wait")):
        raise ValueError(f"event_class {event_class!r} needs set() and wait(), like threading.Event")
    if backend.name in FAMILIES:
        # Some classes of a family cannot be used as they are; its preset knows, and has something in their place.
        injected = {name: _preset(backend.name, "adapt")(given) for name, given in injected.items()}
    return replace(backend, **injected)


def _preset(family: str, attribute: str = "BACKEND") -> Any:
    return getattr(importlib.import_module(f".{family}", __name__), attribute)


def _patched_family() -> str | None:
    """Return the family that has monkey-patched sockets in this process, if one has."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        return "gevent"
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("socket"):
        return "eventlet"
    return None


def _family_of(kind: Any) -> str | None:
    """Return the family whose code a class is made of, ``None`` when it cannot be told."""
    for base in getattr(kind, "__mro__", ()):
        root = base.__module__.partition(".")[0]
        if root in ("gevent", "eventlet"):
            return str(root)
        if root in ("threading", "selectors"):
            # eventlet.green runs its own copy of the standard library's source, under the original names.
            genuine = getattr(sys.modules.get(root), base.__name__, None) is base
            return "threading" if genuine or "eventlet" not in sys.modules else "eventlet"
    return None
