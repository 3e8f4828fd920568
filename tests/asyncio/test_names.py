"""The asyncio classes have the names, the order and the signatures of the documented API, and those of the sync classes."""

from __future__ import annotations

import inspect
from inspect import Parameter

import pytest

from simple_websocket import AioClient, AioServer, Client, Server

EMPTY = Parameter.empty

# As documented: name and default of each positional parameter, in their order.
DOCUMENTED = {
    AioServer: [
        ("request", EMPTY),
        ("subprotocols", None),
        ("receive_bytes", 4096),
        ("ping_interval", None),
        ("max_message_size", None),
    ],
    AioServer.accept: [
        ("aiohttp", None),
        ("asgi", None),
        ("sock", None),
        ("headers", None),
        ("subprotocols", None),
        ("receive_bytes", 4096),
        ("ping_interval", None),
        ("max_message_size", None),
    ],
    AioClient: [
        ("url", EMPTY),
        ("subprotocols", None),
        ("headers", None),
        ("receive_bytes", 4096),
        ("ping_interval", None),
        ("max_message_size", None),
        ("ssl_context", None),
    ],
    AioClient.connect: [
        ("url", EMPTY),
        ("subprotocols", None),
        ("headers", None),
        ("receive_bytes", 4096),
        ("ping_interval", None),
        ("max_message_size", None),
        ("ssl_context", None),
        ("thread_class", None),
        ("event_class", None),
    ],
    AioServer.receive: [("self", EMPTY), ("timeout", None)],
    AioServer.send: [("self", EMPTY), ("data", EMPTY)],
    AioServer.close: [("self", EMPTY), ("reason", None), ("message", None)],
    AioServer.choose_subprotocol: [("self", EMPTY), ("request", EMPTY)],
}

# Not the same in both: what the protocols of Python call by another name, and what only one of them has.
TRANSLATED = {"__aiter__": "__iter__", "__aenter__": "__enter__", "__aexit__": "__exit__"}
ONLY_ASYNC = {"reject"}
ONLY_SYNC = {"mode"}


@pytest.mark.parametrize("what", DOCUMENTED, ids=lambda what: what.__qualname__)
def test_documented_parameters(what):
    parameters = inspect.signature(what).parameters.values()
    positional = [(one.name, one.default) for one in parameters if one.kind is Parameter.POSITIONAL_OR_KEYWORD]
    assert positional == DOCUMENTED[what]
    for one in parameters:  # whatever there is beyond is optional, and cannot be mistaken for one of them
        if one.kind is not Parameter.POSITIONAL_OR_KEYWORD:
            assert one.kind is Parameter.KEYWORD_ONLY and one.default is not EMPTY


def names(cls):
    """The methods and properties that a class and its base define, in their order."""
    found = []
    for one in reversed(cls.__mro__[:-1]):
        for name, value in vars(one).items():
            if callable(value) or isinstance(value, (property, classmethod)):
                found.append(TRANSLATED.get(name, name))
    return [name for name in dict.fromkeys(found) if not name.startswith("_") or name in TRANSLATED.values()]


@pytest.mark.parametrize("aio, sync", [(AioServer, Server), (AioClient, Client)])
def test_the_same_names_in_the_same_order(aio, sync):
    ours = [name for name in names(aio) if name not in ONLY_ASYNC]
    theirs = [name for name in names(sync) if name not in ONLY_SYNC]
    assert ours == theirs


@pytest.mark.parametrize("aio, sync", [(AioServer, Server), (AioClient, Client)])
@pytest.mark.parametrize("name", ["receive", "send", "close", "ping", "connected", "close_reason", "close_message", "latency"])
def test_the_same_signatures(aio, sync, name):
    mine, other = getattr(aio, name), getattr(sync, name)
    if isinstance(mine, property):
        assert isinstance(other, property)
        return
    assert inspect.iscoroutinefunction(mine) and not inspect.iscoroutinefunction(other)
    assert inspect.signature(mine).parameters == inspect.signature(other).parameters


@pytest.mark.parametrize("aio, sync", [(AioServer, Server), (AioClient, Client)])
def test_the_same_additional_options(aio, sync):
    """What is keyword-only in both has the same default; a backend is a matter of threads alone."""

    def extra(function):
        return {one.name: one.default for one in inspect.signature(function).parameters.values() if one.kind is one.KEYWORD_ONLY}

    ours, theirs = extra(aio), extra(sync)
    assert {name: theirs[name] for name in ours} == ours
    assert set(theirs) - set(ours) <= {"sock", "backend", "open_timeout", "selector_class"}
