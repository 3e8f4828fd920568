"""`World`: what a case needs that depends on the backend it runs under, and what is the same everywhere on top of that.

A world spawns tasks, sleeps, waits for sockets, and makes connections: between the package's own two classes (`pair`), or one
of them and a scripted peer (`open`).  Everything a world has made is closed by `clean_up`.  The worlds themselves are in
``on_threads.py``, ``on_gevent.py`` and ``on_eventlet.py``.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import trustme

from simple_websocket import Client, Server

from .wire import Head

ROOT = Path(__file__).resolve().parents[2]


class Task:
    """A function that runs beside the test, in a thread or greenlet of the world."""

    def __init__(self, world: World, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments
        self._done = world.event()
        self.finished = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.handle = world.start(self._run)

    def _run(self) -> None:
        function, arguments = self._call
        try:
            self.value = function(*arguments)
        except BaseException as error:
            self.error = error
        finally:
            self.finished = True
            self._done.set()

    def wait(self, timeout: float = 20.0) -> None:
        self._done.wait(timeout)
        assert self.finished, f"{self._call[0]} has not ended after {timeout} s"

    def result(self, timeout: float = 20.0) -> Any:
        """Return what the function returned, or raise what it raised."""
        self.wait(timeout)
        if self.error is not None:
            raise self.error
        return self.value


class World:
    """The primitives that differ are methods of the subclasses."""

    name: str
    #: Whether the family has monkey-patched this process.
    patched = False
    #: The code that a fresh process of this world begins with.
    preamble = ""
    #: Classes as a user of this family would inject them: a thread class, an event class, a selector class.
    thread_class: Any
    event_class: Any
    selector_class: Any

    clock = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._cleaners: list[Callable[[], Any]] = []
        self._last_cleaners: list[Callable[[], Any]] = []
        self._tasks: list[Task] = []
        self._connections: list[Any] = []

    # What a world has to supply

    def start(self, function: Callable[[], None]) -> Any:
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def event(self) -> Any:
        raise NotImplementedError

    def lock(self) -> Any:
        raise NotImplementedError

    def readable(self, sock: Any, timeout: float) -> bool:
        """Wait, parking only the caller, until a socket is readable."""
        raise NotImplementedError

    def writable(self, sock: Any, timeout: float) -> bool:
        raise NotImplementedError

    def make_socket(self, *arguments: Any) -> Any:
        """An original socket, whatever is monkey-patched."""
        raise NotImplementedError

    def server_socket(self, sock: Any) -> Any:
        """What a web server of this family would have instead of this original socket."""
        raise NotImplementedError

    def server_tls(self, sock: Any, certificate: trustme.LeafCert, **options: Any) -> Any:
        """What a web server of this family would have after its TLS handshake."""
        raise NotImplementedError

    def interrupting(self, seconds: float, error: type[BaseException]) -> Any:
        """A context manager that raises an error inside the calling task after so long, as a person or a timeout would."""
        raise NotImplementedError

    #: What `interrupting` can raise.
    interruptions: tuple[type[BaseException], ...] = (KeyboardInterrupt,)

    # Tasks and waiting

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> Task:
        task = Task(self, function, *arguments)
        self._tasks.append(task)
        return task

    def until(self, condition: Callable[[], Any], timeout: float = 10.0, what: str = "") -> Any:
        """Wait until a condition holds, and return its value."""
        by = self.clock() + timeout
        while not (value := condition()):
            assert self.clock() < by, f"not within {timeout} s: {what or condition}"
            self.sleep(0.005)
        return value

    # Connections

    @property
    def options(self) -> dict[str, Any]:
        """What says which backend to use, where it cannot be found: in a greenlet world that is not monkey-patched."""
        return {} if self.patched or self.name == "threading" else {"backend": self.name}

    def listen(self, family: int = 0, host: str = "127.0.0.1", port: int = 0, backlog: int = 64) -> Listener:
        return Listener(self, family, host, port, backlog)

    def open(self, side: str, tls: bool = False, headers: tuple[str, ...] = (), behind: bytes = b"", **options: Any) -> Any:
        """Return (a connection under test, its scripted peer).

        :param side: "client" or "server": which of the two is under test.
        :param headers: of the peer's half of the opening handshake.
        :param behind: bytes that the peer writes in the same segment.
        """
        from .peer import Peer, make_stream

        listener = self.listen()
        if side == "client":

            def serve() -> Peer:
                peer = Peer(make_stream(self, listener.accept(), server_context(self) if tls else None), client=False)
                self.on_cleanup(peer.close)
                peer.accept(headers, behind)
                return peer

            task = self.spawn(serve)
            ws = self.connect(listener.url(tls), tls, **options)
            return ws, task.result()
        task = self.spawn(self.accept, listener, tls, options)
        sock = self.dial(listener.address)
        peer = Peer(make_stream(self, sock, client_context() if tls else None, "127.0.0.1"), client=True)
        self.on_cleanup(peer.close)
        head = peer.ask(listener.authority, headers=headers, behind=behind)
        assert head.status == 101
        return task.result(), peer

    def pair(self, tls: bool = False, server: dict[str, Any] | None = None, client: dict[str, Any] | None = None) -> Any:
        """Return (a Client, a Server) that are connected with each other."""
        listener = self.listen()
        task = self.spawn(self.accept, listener, tls, server or {})
        ws = self.connect(listener.url(tls), tls, **client or {})
        return ws, task.result()

    def connect(self, url: str, tls: bool = False, cls: Any = Client, **options: Any) -> Any:
        """Return a Client, closed at the end of the test."""
        if tls:
            options.setdefault("ssl_context", client_context())
        ws = cls.connect(url, **{**self.options, **options})
        self._connections.append(ws)
        return ws

    def accept(self, listener: Listener, tls: bool, options: dict[str, Any], cls: Any = Server) -> Any:
        """Accept one connection as a web server would, and return its Server; both are closed at the end of the test."""
        sock = listener.accept()
        sock = self.server_tls(sock, certificate()) if tls else self.server_socket(sock)
        self._last_cleaners.append(sock.close)
        ws = cls.accept(read_request(sock).environ(), sock=sock, **{**self.options, **options})
        self._connections.append(ws)
        return ws

    @contextmanager
    def serving(self, handler: Callable[[Any], Any], tls: bool = False, **options: Any) -> Iterator[str]:
        """Accept any number of connections, run ``handler(ws)`` for each in a task, give the URL.

        The socket is closed when the handler has returned, as a web server does it.
        """
        listener = self.listen()
        tasks = []

        def handle(sock: Any) -> None:
            try:
                sock = self.server_tls(sock, certificate()) if tls else self.server_socket(sock)
                handler(Server.accept(read_request(sock).environ(), sock=sock, **{**self.options, **options}))
            finally:
                sock.close()

        def accept() -> None:
            while True:
                try:
                    sock = listener.accept(timeout=600)
                except OSError:
                    return
                tasks.append(self.spawn(handle, sock))

        accepting = self.spawn(accept)
        try:
            yield listener.url(tls)
        finally:
            listener.shutdown()
            accepting.wait()
            listener.close()
        for task in tasks:
            task.result()

    def dial(self, address: Any) -> Any:
        """Return an original, non-blocking socket that is connected."""
        sock = self.make_socket()
        sock.setblocking(False)
        with suppress(BlockingIOError):
            sock.connect(address)
        assert self.writable(sock, 5.0)
        return sock

    # Other processes

    def run(self, code: str, *arguments: str, timeout: float = 30.0) -> Any:
        """Run Python code in a fresh process of this world; return (its status, its output, the seconds it took)."""
        started = self.clock()
        with Process(self, self.preamble + "\n" + code, *arguments) as process:
            self.until(lambda: process.status is not None, timeout, "the end of the process")
            return process.status, process.output(), self.clock() - started

    # The end

    def on_cleanup(self, action: Callable[[], Any]) -> None:
        self._cleaners.append(action)

    def clean_up(self) -> None:
        """Close everything: peers first, so that nobody waits for them, then the connections, then their sockets."""
        for action in reversed(self._cleaners):
            with suppress(OSError):
                action()
        for closing in [Task(self, ws.close) for ws in self._connections]:
            closing.result()
        for task in self._tasks:
            task.wait()
        for action in self._last_cleaners:
            with suppress(OSError):
                action()
        self._cleaners, self._last_cleaners, self._tasks, self._connections = [], [], [], []


class Listener:
    """An original listening socket."""

    def __init__(self, world: World, family: int, host: str, port: int, backlog: int) -> None:
        self._world = world
        self._sock = world.make_socket(family) if family else world.make_socket()
        world.on_cleanup(self.close)
        self._sock.bind((host, port))
        self._sock.listen(backlog)
        self._sock.setblocking(False)
        self.address = self._sock.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        self.authority = f"{host}:{self.address[1]}"

    def url(self, tls: bool = False, path: str = "/") -> str:
        return f"{'wss' if tls else 'ws'}://{self.authority}{path}"

    def accept(self, timeout: float = 10.0) -> Any:
        """Return the next connection's socket.  TimeoutError; OSError after `shutdown`."""
        by = self._world.clock() + timeout
        while True:
            try:
                return self._sock.accept()[0]
            except BlockingIOError:
                left = by - self._world.clock()
                if left <= 0 or not self._world.readable(self._sock, left):
                    raise TimeoutError("nobody has connected") from None

    def shutdown(self) -> None:
        """Let `accept` fail, in whoever waits in it."""
        self._sock.shutdown(2)

    def close(self) -> None:
        self._sock.close()


class Process:
    """A Python process whose output goes to a file, so that nobody has to read it in time."""

    def __init__(self, world: World, code: str, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self._world = world
        self._file = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env=environment,
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        if self.status is None:
            self._process.kill()
            self._world.until(lambda: self.status is not None)
        self._file.close()

    @property
    def status(self) -> int | None:
        return self._process.poll()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def output(self) -> str:
        """Return what it has written so far."""
        size = os.fstat(self._file.fileno()).st_size
        return os.pread(self._file.fileno(), size, 0).decode(errors="replace")

    def line(self, timeout: float = 20.0) -> str:
        """Return its first line."""
        self._world.until(lambda: "\n" in self.output() or self.status is not None, timeout, "a line of output")
        assert "\n" in self.output(), self.output()
        return self.output().partition("\n")[0]


def read_request(sock: Any) -> Head:
    """Read a request with a web server's socket, byte by byte so that nothing behind it is taken."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise ConnectionResetError("the end of the stream inside a request")
        data += byte
    return Head(data)


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def certificate() -> trustme.LeafCert:
    return authority().issue_cert("127.0.0.1", "::1", "localhost")


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


def server_context(world: World, leaf: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (leaf or certificate()).configure_cert(context)
    return context
