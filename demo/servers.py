"""The web servers of the demo: how a person starts the echo examples with each of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

EXAMPLES = "examples"


@dataclass(frozen=True)
class WebServer:
    name: str
    backend: str  # what a connection runs on there, if nothing is said
    packages: tuple[str, ...]
    command: Callable[[int], Sequence[str]]  # given the port, the arguments of `python`


def _gunicorn(*options: str) -> Callable[[int], Sequence[str]]:
    # --chdir makes `server` importable, as for somebody who stands in that folder.
    return lambda port: ("-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--chdir", f"{EXAMPLES}/flask", *options, "server:app")


def _script(name: str) -> Callable[[int], Sequence[str]]:
    return lambda port: (f"{EXAMPLES}/{name}", "--port", str(port))


SERVERS = [
    WebServer("Werkzeug", "threading", ("flask",), _script("flask/server.py")),
    WebServer("gunicorn gthread", "threading", ("flask", "gunicorn"), _gunicorn("--threads", "16")),
    WebServer("gunicorn gevent", "gevent", ("flask", "gunicorn", "gevent"), _gunicorn("-k", "gevent")),
    WebServer("gevent.pywsgi", "gevent", ("flask", "gevent"), _script("flask/gevent_server.py")),
    WebServer("eventlet.wsgi", "eventlet", ("flask", "eventlet"), _script("flask/eventlet_server.py")),
    WebServer("aiohttp", "asyncio", ("aiohttp",), _script("aiohttp/server.py")),
    WebServer("uvicorn", "asyncio", ("uvicorn", "websockets"), _script("asgi/server.py")),
]


def missing_packages(servers: Sequence[WebServer]) -> list[str]:
    """The packages that these servers and the library need and this Python does not have."""
    wanted = dict.fromkeys(["wsproto", *(name for server in servers for name in server.packages)])
    return [name for name in wanted if importlib.util.find_spec(name) is None]
