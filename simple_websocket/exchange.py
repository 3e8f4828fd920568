"""One connection that came to `serve`: TLS, one HTTP request, and then its WebSocket or its HTTP response.

`Exchange.run` belongs to the connection's own thread or greenlet.  `dismiss` and `cut` are for whoever stops the server; `_lock`
guards what they share with it: `_sock`, `_busy`, `_dismissed` and `_ws`, and is never held while waiting.
"""

from __future__ import annotations

import io
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from .backends import Backend
from .errors import CloseReason, ConnectionClosed, ConnectionError
from .going_away import go_away
from .protocol.request import HttpExchange, HttpRequest
from .sync import Server
from .transport import Transport, complete_tls, open_transport, wrap_tls

__all__ = ["Exchange", "Service"]

logger = logging.getLogger("simple_websocket")

_READ = 4096

# How long, and for how many bytes, a client may go on sending while it reads our answer; ending TCP under it would take the
# answer away from it.
_LINGER = 1.0
_LINGER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Service:
    """What `serve` was told to do with each connection; described there."""

    handler: Callable[[Server], object]
    backend: Backend
    ssl_context: ssl.SSLContext | None
    subprotocols: str | Sequence[str] | None
    http: bytes | Callable[..., Any] | None
    server_class: type[Server]
    handshake_timeout: float
    max_request_size: int
    options: dict[str, Any] = field(default_factory=dict)


class Exchange:
    """One connection.

    :param service: what to do with it.
    :param sock: the connected socket; it is closed at the end.
    :param peer: its address.
    :param ended: called at the end.
    :param refused: whether there are too many already: then the answer is 503.
    """

    def __init__(self, service: Service, sock: Any, peer: Any, ended: Callable[[Exchange], None], refused: bool) -> None:
        self.refused = refused
        self._service = service
        self._sock = sock
        self._peer = peer
        self._ended = ended
        self._lock = service.backend.lock()
        self._closed = False
        self._busy = False  # there is a request, and somebody works on it
        self._dismissed = False
        self._ws: Server | None = None

    # For whoever stops the server

    def dismiss(self) -> None:
        """Close the WebSocket with 1001, without waiting for it; end a connection without a request at once."""
        with self._lock:
            self._dismissed = True
            ws, busy = self._ws, self._busy
        if ws is not None:
            go_away([ws])
        elif not busy:
            self.cut()

    def cut(self) -> None:
        """End TCP under whoever uses it."""
        with self._lock:
            if not self._closed:
                # Not by the methods of a TLS socket, which its own thread is using.
                plain = self._service.backend.socket(fileno=self._sock.fileno())
                try:
                    plain.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the peer was faster
                finally:
                    plain.detach()

    def close(self) -> None:
        """Close the socket; for those who never come to `run` it."""
        with self._lock:
            self._closed = True
            self._sock.close()

    # The connection's own thread

    def run(self) -> None:
        """Do all of it."""
        try:
            self._run()
        except OSError as error:
            logger.debug("connection from %s: %s", self._peer, error)
        except Exception:
            logger.exception("a connection failed")
        finally:
            self.close()
            self._ended(self)

    def _run(self) -> None:
        service = self._service
        deadline = service.backend.clock() + service.handshake_timeout
        if service.ssl_context is not None:
            self._start_tls(service.ssl_context, deadline)
        transport = open_transport(self._sock, service.backend)
        try:
            ws = self._open(transport, HttpExchange(service.max_request_size), deadline)
        finally:
            transport.release()
        if ws is not None:
            self._talk(ws)

    def _start_tls(self, context: ssl.SSLContext, deadline: float) -> None:
        backend = self._service.backend
        with self._lock:  # it goes from one object to another
            self._sock.setblocking(False)
            self._sock = secure = wrap_tls(context, self._sock, server_side=True)
        complete_tls(secure, backend, deadline, "the client")

    def _open(self, transport: Transport, http: HttpExchange, deadline: float) -> Server | None:
        """Read the request; return the WebSocket, or answer with HTTP and return ``None``."""
        try:
            request = self._read_request(transport, http, deadline)
            if request is None:
                return None
            with self._lock:
                self._busy = True
                stopping = self._dismissed
            if self.refused or stopping:
                why = "the server is stopping" if stopping else "too many connections"
                raise ConnectionError(503, headers=[("Retry-After", "1")], detail=why)
            environ = self._environ(request)
            if request.wants_websocket:
                return self._accept(environ)
            answer = Answer(http, lambda data: self._write(transport, data))
            answer.give(self._service.http, environ)
        except ConnectionError as error:
            self._write(transport, _response(http, error))
        except OSError:
            raise
        except Exception:
            logger.exception("a request failed")
            self._write(transport, _response(HttpExchange(self._service.max_request_size), ConnectionError(500)))
        self._linger(transport)
        return None

    def _read_request(self, transport: Transport, http: HttpExchange, deadline: float) -> HttpRequest | None:
        clock = self._service.backend.clock
        while True:
            data = transport.read(_READ, max(0.0, deadline - clock()))
            if data:
                request = http.receive_data(data)
                if request is not None:
                    return request
            elif data is None and http.received:
                raise ConnectionError(408, detail=f"no request within {self._service.handshake_timeout:g} seconds")
            else:
                return None

    def _accept(self, environ: dict[str, Any]) -> Server:
        service = self._service
        ws = service.server_class(environ, service.subprotocols, sock=self._sock, backend=service.backend, **service.options)
        with self._lock:
            self._ws = ws
            dismissed = self._dismissed
        if dismissed:
            go_away([ws])
        return ws

    def _talk(self, ws: Server) -> None:
        """Run the handler, and close the connection as it ends."""
        code = None
        try:
            self._service.handler(ws)
        except Exception as error:
            if ws.connected or not isinstance(error, ConnectionClosed):
                logger.exception("the handler of a WebSocket failed")
                code = CloseReason.INTERNAL_ERROR
        except BaseException:  # its thread or greenlet is being ended
            code = CloseReason.GOING_AWAY
            raise
        finally:
            ws.close(code)

    def _write(self, transport: Transport, data: bytes) -> None:
        transport.write_all(data, self._service.backend.clock() + self._service.handshake_timeout)

    def _linger(self, transport: Transport) -> None:
        """Let the client read the answer to its end."""
        transport.end_writing(discard=True)
        with self._lock:
            self._busy = False
            if self._dismissed:
                return
        clock = self._service.backend.clock
        deadline, size = clock() + _LINGER, 0
        while size < _LINGER_BYTES and (left := deadline - clock()) > 0:
            data = transport.read(_READ, left)
            if not data:
                return
            size += len(data)

    def _environ(self, request: HttpRequest) -> dict[str, Any]:
        """Return the WSGI environ of a request (PEP 3333)."""
        target = request.target
        if not target.startswith("/"):  # the absolute form, which is for proxies and allowed to all
            parts = urlsplit(target)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        path, _, query = target.partition("?")
        service, secure = self._service, self._service.ssl_context is not None
        here = self._sock.getsockname()
        on_ip = isinstance(here, tuple)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "REQUEST_URI": request.target,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": here[0] if on_ip else "localhost",
            "SERVER_PORT": str(here[1] if on_ip else 443 if secure else 80),
            "SERVER_PROTOCOL": request.version,
            "SERVER_SOFTWARE": "simple_websocket",
            "REMOTE_ADDR": self._peer[0] if on_ip else "",
            "REMOTE_PORT": str(self._peer[1]) if on_ip else "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if secure else "http",
            "wsgi.input": io.BufferedReader(io.BytesIO(request.leftover)),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": service.backend.name == "threading",
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request.headers:
            if "_" in name:
                continue  # it would pass for another one, which a proxy may have vouched for
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            if key in environ:
                value = f"{environ[key]}{'; ' if name == 'cookie' else ', '}{value}"
            environ[key] = value
        return environ


class Answer:
    """The response to a plain HTTP request.

    :param http: what makes its bytes.
    :param write: sends them.
    """

    def __init__(self, http: HttpExchange, write: Callable[[bytes], None]) -> None:
        self._http = http
        self._write = write
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self._begun = False

    def give(self, page: bytes | Callable[..., Any] | None, environ: dict[str, Any]) -> None:
        """Send a page, or what a WSGI application returns.

        :raises ConnectionError: there is none, or the method is not for reading.
        """
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            raise ConnectionError(405, headers=[("Allow", "GET, HEAD")], detail="this is for WebSocket clients")
        if page is None:
            headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
            raise ConnectionError(426, headers=headers, detail="this is for WebSocket clients")
        if isinstance(page, bytes):
            kind = "text/html" if page.lstrip().startswith(b"<") else "text/plain"
            headers = [("Content-Type", f"{kind}; charset=utf-8"), _date()]
            self._write(self._http.respond("200 OK", headers, page))
            return
        try:
            self._give_what_returns(page, environ)
        except OSError:
            raise
        except Exception:
            if not self._begun:
                raise  # somebody can still say so
            logger.exception("a request failed in the middle of its response")

    def _give_what_returns(self, application: Callable[..., Any], environ: dict[str, Any]) -> None:
        parts = application(environ, self._start_response)
        try:
            for part in parts:
                if part:
                    self._send(part)
            self._send(b"")
        finally:
            if hasattr(parts, "close"):
                parts.close()
        self._write(self._http.end_response())

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """As PEP 3333 has it."""
        if exc_info is not None and self._begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise AssertionError("start_response was called twice")
        self._head = status, list(headers)
        return self._send

    def _send(self, data: bytes) -> None:
        if self._head is None:
            raise AssertionError("start_response was not called")
        head = b""
        if not self._begun:
            status, headers = self._head
            if not any(name.lower() == "date" for name, _ in headers):
                headers.append(_date())
            head = self._http.start_response(status, headers)
            self._begun = True
        if head or data:
            self._write(head + self._http.send_body(data))


def _response(http: HttpExchange, error: ConnectionError) -> bytes:
    status, headers, body = error.response()
    return http.respond(status, [*headers, _date()], body)


def _date() -> tuple[str, str]:
    return "Date", formatdate(usegmt=True)
