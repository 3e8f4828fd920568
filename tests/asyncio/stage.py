"""What a test needs around it: servers of every kind, clients, and pairs of a connection under test and a scripted peer."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trustme
from aiohttp import web

from simple_websocket import AioClient, AioServer, ConnectionClosed, ConnectionError

from .peer import PATIENCE, Peer

SERVERS = ("aiohttp", "aiohttp-tls", "sock")
CLIENTS = ("client", "client-tls")

every_kind = pytest.mark.parametrize("kind", SERVERS + CLIENTS)
every_server = pytest.mark.parametrize("kind", SERVERS)
every_client = pytest.mark.parametrize("kind", CLIENTS)
#: The servers that an AioClient is connected to; of ASGI's one, all are in tests/asgi.
every_end = pytest.mark.parametrize("kind", (*SERVERS, "asgi"))

Handler = Callable[[AioServer], Awaitable[Any]]


class Tls:
    """Contexts of both sides."""

    def __init__(self, authority: trustme.CA) -> None:
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


class Address:
    """Where something listens."""

    def __init__(self, port: int, tls: bool) -> None:
        self.port = port
        self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/echo"


async def echo(ws: AioServer) -> None:
    async for message in ws:
        await ws.send(message)


class Stage:
    """One test's servers and connections, which all end with it."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls
        self.runner: web.AppRunner | None = None
        self.failures: list[BaseException] = []
        self._undo = AsyncExitStack()
        self._forgiven: tuple[str, ...] = ()

    def forgive(self, *what: str) -> None:
        """Take it that these are logged."""
        self._forgiven += what

    def forgives(self, logged: str) -> bool:
        return any(what in logged for what in self._forgiven)

    async def aclose(self) -> None:
        await self._undo.aclose()
        if self.failures:
            raise self.failures[0]

    def tls_of(self, kind: str) -> bool:
        return kind.endswith("-tls")

    def trust(self, kind: str) -> ssl.SSLContext | None:
        """The client's context."""
        return self.tls.client if self.tls_of(kind) else None

    # Servers

    async def serving(self, kind: str, handler: Handler = echo, **options: Any) -> Address:
        """Serve with AioServer until the test ends; what the handler raises fails the test."""

        async def handle(ws: AioServer) -> None:
            try:
                await handler(ws)
            except ConnectionClosed:
                pass
            except Exception as error:
                self.failures.append(error)

        if kind.startswith("aiohttp"):
            return await self._serving_aiohttp(kind, handle, options)
        if kind == "sock":
            return await self._serving_sock(handle, options)
        return await self._serving_asgi(handle, options)

    async def _serving_aiohttp(self, kind: str, handle: Handler, options: dict[str, Any]) -> Address:
        async def view(request: web.Request) -> web.Response:
            try:
                ws = await AioServer.accept(aiohttp=request, **options)
            except ConnectionError as error:
                return web.Response(status=error.status_code or 400, headers=error.headers)
            await handle(ws)
            return web.Response(text="")

        return await self.serving_view(view, self.tls_of(kind))

    async def serving_view(self, view: Any, tls: bool = False) -> Address:
        """Serve an aiohttp handler."""
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", view)
        self.runner = runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._undo.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.tls.server if tls else None).start()
        return Address(runner.addresses[0][1], tls)

    async def _serving_sock(self, handle: Handler, options: dict[str, Any]) -> Address:
        async def answer(sock: socket.socket) -> None:
            headers = await read_headers(sock)
            try:
                ws = await AioServer.accept(sock=sock, headers=headers, **options)
            except ConnectionError:
                return
            await handle(ws)

        return await self.listening(answer)

    async def listening(self, answer: Callable[[socket.socket], Awaitable[Any]]) -> Address:
        """Call `answer` with each accepted socket, in a task."""
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        tasks: set[asyncio.Task[Any]] = set()

        async def accept() -> None:
            while True:
                sock, _ = await loop.sock_accept(listener)
                sock.setblocking(False)
                tasks.add(asyncio.ensure_future(answer(sock)))

        tasks.add(asyncio.ensure_future(accept()))

        async def end() -> None:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    self.failures.append(result)
            listener.close()

        self._undo.push_async_callback(end)
        return Address(listener.getsockname()[1], False)

    async def _serving_asgi(self, handle: Handler, options: dict[str, Any]) -> Address:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await handle(await AioServer.accept(asgi=(scope, receive, send), **options))

        return await self.serving_app(app)

    async def serving_app(self, app: Any) -> Address:
        """Serve an ASGI application with uvicorn."""
        import uvicorn

        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="wsproto", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.ensure_future(server.serve(sockets=[listener]))

        async def end() -> None:
            server.should_exit = True
            await task

        self._undo.push_async_callback(end)
        await until(lambda: server.started)
        return Address(listener.getsockname()[1], False)

    # Clients

    async def connect(self, address: Address, **options: Any) -> AioClient:
        """Connect; the connection is closed when the test ends."""
        context = self.tls.client if address.url.startswith("wss") else None
        ws = await AioClient.connect(address.url, ssl_context=context, **options)
        self._undo.push_async_callback(ws.close)
        return ws

    # Scripted peers

    async def dial(self, address: Address) -> Peer:
        """A peer connected to a server, before the opening handshake."""
        context = self.tls.client if address.url.startswith("wss") else None
        streams = await asyncio.open_connection("127.0.0.1", address.port, ssl=context, limit=1 << 16)
        peer = Peer(*streams, client=True)
        self._undo.push_async_callback(peer.close)
        return peer

    async def answering(self, answer: Callable[[Peer], Awaitable[Any]], tls: bool = False, host: str = "127.0.0.1") -> Address:
        """Listen, and call `answer` with the peer of each client, before the opening handshake."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = Peer(reader, writer, client=False)
            self._undo.push_async_callback(peer.close)
            try:
                await answer(peer)
            except Exception as error:
                self.failures.append(error)

        server = await asyncio.start_server(handle, host, 0, ssl=self.tls.server if tls else None, limit=1 << 16)

        async def end() -> None:
            server.close()

        self._undo.push_async_callback(end)
        return Address(server.sockets[0].getsockname()[1], tls)

    async def pair(self, kind: str, headers: tuple[str, ...] = (), behind: bytes = b"", **options: Any) -> tuple[Any, Peer]:
        """A connection under test, and its peer.

        :param kind: what the connection is.
        :param headers: of the peer's request or response.
        :param behind: frames that the peer sends in the same segment.
        :param options: of the connection.
        """
        if kind in CLIENTS:
            return await self._client_and_peer(kind, headers, behind, options)
        got: asyncio.Future[AioServer] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()

        async def hold(ws: AioServer) -> None:
            got.set_result(ws)
            await over.wait()
            await ws.close()

        address = await self.serving(kind, hold, **options)
        peer = await self.dial(address)
        await peer.ask(f"127.0.0.1:{address.port}", headers=headers, behind=behind)
        self._undo.callback(over.set)
        self._undo.push_async_callback(peer.close)
        return await asyncio.wait_for(got, PATIENCE), peer

    async def _client_and_peer(self, kind: str, headers: Any, behind: bytes, options: dict[str, Any]) -> tuple[Any, Peer]:
        got: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

        async def answer(peer: Peer) -> None:
            await peer.accept(headers, behind)
            got.set_result(peer)

        ws = await self.connect(await self.answering(answer, self.tls_of(kind)), **options)
        peer = await got
        self._undo.push_async_callback(peer.close)
        return ws, peer


async def read_headers(sock: socket.socket) -> dict[str, str]:
    """Read a request's head from a socket, and not a byte more."""
    loop = asyncio.get_running_loop()
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = await loop.sock_recv(sock, 1)
        assert byte, data
        data += byte
    lines = data.decode("latin-1").split("\r\n")[1:-2]
    return dict(line.split(": ", 1) for line in lines)


async def until(condition: Callable[[], Any], timeout: float = PATIENCE) -> None:
    """Wait for a condition."""
    by = asyncio.get_running_loop().time() + timeout
    while not condition():
        assert asyncio.get_running_loop().time() < by, "it did not happen in time"
        await asyncio.sleep(0.002)


def task(coroutine: Any) -> asyncio.Task[Any]:
    return asyncio.ensure_future(coroutine)


async def closed(call: Awaitable[Any]) -> ConnectionClosed:
    """The ConnectionClosed that a call must raise."""
    with pytest.raises(ConnectionClosed) as caught:
        await asyncio.wait_for(call, PATIENCE)
    return caught.value
