"""The public surface: names, signatures and what is installed. A failure here means that somebody's program breaks."""

import importlib.metadata
import importlib.resources
import inspect
import subprocess
import sys

import pytest

import simple_websocket
from simple_websocket import Client, CloseReason, ConnectionClosed, ConnectionError, Server, SimpleWebsocketError

PUBLIC = {"Server", "Client", "Compression", "CloseReason"}
PUBLIC |= {"SimpleWebsocketError", "ConnectionError", "ConnectionClosed"}

# The documented 1.x parameters, in their order and with their defaults, may be passed by position.
SERVER_1X = [
    ("environ", inspect.Parameter.empty),
    ("subprotocols", None),
    ("receive_bytes", 4096),
    ("ping_interval", None),
    ("max_message_size", None),
    ("thread_class", None),
    ("event_class", None),
    ("selector_class", None),
]
CLIENT_1X = [
    ("url", inspect.Parameter.empty),
    ("subprotocols", None),
    ("headers", None),
    ("receive_bytes", 4096),
    ("ping_interval", None),
    ("max_message_size", None),
    ("ssl_context", None),
    ("thread_class", None),
    ("event_class", None),
]
# What 2.0 added: keyword-only.
COMMON_2X = {
    "backend": None,
    "ping_timeout": None,
    "close_timeout": 5.0,
    "compression": True,
    "max_unread_messages": 256,
    "max_unread_bytes": 1048576,
}
SERVER_2X = {**COMMON_2X, "sock": None, "allowed_origins": None, "check_request": None, "response_headers": None}
CLIENT_2X = {**COMMON_2X, "selector_class": None, "open_timeout": 10.0}

METHODS = [
    ("receive", [("timeout", None)]),
    ("send", [("data", inspect.Parameter.empty)]),
    ("close", [("reason", None), ("message", None)]),
]


def parameters(function):
    """(name, default) of the positional ones, {name: default} of the keyword-only ones; `...` stands for **kwargs."""
    positional, keyword_only = [], {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            keyword_only[parameter.name] = parameter.default
        elif parameter.kind is parameter.VAR_KEYWORD:
            keyword_only[...] = parameter.name
        else:
            assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD, f"{function}: {parameter}"
            positional.append((parameter.name, parameter.default))
    return positional, keyword_only


def test_public_names():
    exported = set(simple_websocket.__all__)
    assert PUBLIC <= exported
    for name in exported:
        assert hasattr(simple_websocket, name)
    namespace = {}
    exec("from simple_websocket import *", namespace)
    assert PUBLIC <= set(namespace)


@pytest.mark.parametrize(
    "owner, make, documented, added",
    [(Server, Server.accept, SERVER_1X, SERVER_2X), (Client, Client.connect, CLIENT_1X, CLIENT_2X)],
    ids=["Server", "Client"],
)
def test_parameters(owner, make, documented, added):
    assert parameters(owner) == (documented, added)
    # accept() and connect() may hand what was added on to the class without naming it.
    positional, keyword_only = parameters(make)
    assert positional == documented
    assert keyword_only == added or keyword_only.keys() == {...}


@pytest.mark.parametrize("make, first", [(Server.accept, {}), (Client.connect, "ws://127.0.0.1:9/")], ids=["accept", "connect"])
def test_a_misspelt_parameter_is_refused(make, first):
    with pytest.raises(TypeError, match="ping_intervall"):
        make(first, ping_intervall=25)


@pytest.mark.parametrize("name, documented", METHODS)
@pytest.mark.parametrize("owner", [Server, Client])
def test_methods(owner, name, documented):
    positional, keyword_only = parameters(getattr(owner, name))
    assert positional[0][0] == "self"
    assert positional[1:] == documented
    assert not keyword_only


def test_choose_subprotocol():
    assert parameters(Server.choose_subprotocol)[0] == [
        ("self", inspect.Parameter.empty),
        ("request", inspect.Parameter.empty),
    ]


def test_exceptions():
    assert issubclass(SimpleWebsocketError, RuntimeError)
    assert issubclass(ConnectionError, SimpleWebsocketError)
    assert issubclass(ConnectionClosed, SimpleWebsocketError)
    assert not issubclass(ConnectionError, OSError)  # it shadows the built-in name, and is something else
    assert ConnectionError().status_code is None
    assert ConnectionError(404).status_code == 404
    assert ConnectionError(status_code=503).status_code == 503
    closed = ConnectionClosed()
    assert closed.reason == CloseReason.NO_STATUS_RCVD
    assert closed.message is None
    closed = ConnectionClosed(CloseReason.GOING_AWAY, "bye")
    assert (closed.reason, closed.message) == (1001, "bye")


def test_version():
    assert importlib.metadata.version("simple-websocket") == simple_websocket.__version__


def test_runtime_dependencies():
    """wsproto, and nothing else unless an extra is asked for."""
    required = importlib.metadata.requires("simple-websocket")
    plain = [line for line in required if "extra ==" not in line]
    assert len(plain) == 1 and plain[0].startswith("wsproto")


def test_typed():
    assert importlib.resources.files("simple_websocket").joinpath("py.typed").is_file()


def test_import_is_light():
    """Programs on threads neither need gevent and eventlet nor pay for asyncio; and no thread starts by importing."""
    code = (
        "import sys, threading, simple_websocket\n"
        "heavy = {'gevent', 'eventlet', 'greenlet', 'asyncio', 'flask', 'gunicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert threading.active_count() == 1\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
