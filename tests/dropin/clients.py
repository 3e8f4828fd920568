"""The clients of python-socketio and python-engineio, which keep what they receive in a queue."""

from __future__ import annotations

import queue
from typing import Any

import engineio
import socketio

from .conftest import PATIENCE, Running

WEBSOCKET = ["websocket"]
UPGRADE = ["polling", "websocket"]  # what they do by themselves


class _Receiving:
    """What both have in common; a handler of the client is called in one of its threads."""

    def __init__(self, server: Running, transports: list[str]) -> None:
        self.server = server
        self.transports = transports
        self._received: queue.Queue[tuple[Any, ...]] = queue.Queue()

    def keep(self, *what: Any) -> None:
        self._received.put(what)

    def next(self) -> tuple[Any, ...]:
        """What comes next: an event and its arguments, or a message."""
        return self._received.get(timeout=PATIENCE)

    def nothing(self) -> bool:
        """Whether nothing is left to look at."""
        return self._received.empty()

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"


class SocketIO(_Receiving):
    """A connected Socket.IO client.

    :param server: where to connect.
    :param transports: `WEBSOCKET` or `UPGRADE`.
    :param answers: what to acknowledge an event with, by its name.
    :param options: for `connect`.
    """

    def __init__(
        self,
        server: Running,
        transports: list[str],
        answers: dict[str, Any] | None = None,
        namespaces: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(server, transports)
        self.answers = answers or {}
        self.sio = socketio.Client(reconnection=False, handle_sigint=False, request_timeout=PATIENCE)
        self.sio.on("*", self._event)
        self.sio.on("disconnect", lambda reason: self.keep("disconnect", reason))
        self.sio.connect(self.http_url, transports=transports, namespaces=namespaces, wait_timeout=PATIENCE, **options)

    def _event(self, event: str, *arguments: Any) -> Any:
        self.keep(event, *arguments)
        return self.answers.get(event)

    def __enter__(self) -> SocketIO:
        return self

    def __exit__(self, *error: object) -> None:
        if self.sio.connected:
            self.sio.disconnect()


class EngineIO(_Receiving):
    """A connected Engine.IO client.

    :param server: where to connect.
    :param transports: `WEBSOCKET` or `UPGRADE`.
    :param query: additional parameters for the URL.
    """

    def __init__(self, server: Running, transports: list[str], query: str = "") -> None:
        super().__init__(server, transports)
        self.eio = engineio.Client(handle_sigint=False, request_timeout=PATIENCE)
        self.eio.on("message", self.keep)
        self.eio.on("disconnect", lambda reason: self.keep("disconnect", reason))
        self.eio.connect(f"{self.http_url}{query}", transports=transports, engineio_path="engine.io")

    def __enter__(self) -> EngineIO:
        return self

    def __exit__(self, *error: object) -> None:
        if self.eio.state == "connected":
            self.eio.disconnect()
