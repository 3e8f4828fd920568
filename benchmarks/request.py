"""The request of an opening handshake, read from a socket by subjects that run without a web server."""

from __future__ import annotations

from typing import Any

__all__ = ["environ_of"]

_READ = 4096


def environ_of(sock: Any) -> dict[str, Any] | None:
    """Return the WSGI environ of the request that the socket brings, as far as a library looks at it; ``None`` for none."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        try:
            data = sock.recv(_READ)
        except OSError:
            return None
        if not data:
            return None
        head += data
    request, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, target, _ = request.split(" ")
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": target}
    for line in lines:
        name, _, value = line.partition(":")
        environ["HTTP_" + name.upper().replace("-", "_")] = value.strip()
    return environ
