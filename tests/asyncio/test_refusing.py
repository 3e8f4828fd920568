"""AioServer: origins, a look at the request, additional headers of the response."""

from __future__ import annotations

import asyncio

import pytest

from simple_websocket import AioServer, ConnectionError
from tests.support.wire import request

from .stage import read_headers

ORIGIN = "https://example.com"


async def ask(stage, headers=(), **options):
    """Have an AioServer see a request on a socket; return (the first line of the answer, all of it, what accept raised)."""
    raised = []

    async def serve(sock):
        try:
            ws = await AioServer.accept(sock=sock, headers=await read_headers(sock), **options)
        except ConnectionError as error:
            raised.append(error)
        else:
            await ws.close()

    address = await stage.listening(serve)
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    try:
        writer.write(request("example.org", headers=tuple(headers)))
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1")
    finally:
        writer.close()
    return head.split("\r\n")[0], head, raised[0] if raised else None


@pytest.mark.parametrize(
    "headers, allowed, status",
    [
        ((f"Origin: {ORIGIN}",), ORIGIN, 101),
        (("Origin: https://evil.example",), ORIGIN, 403),
        ((), ORIGIN, 403),
        ((), [ORIGIN, None], 101),
        (("Origin: https://evil.example",), None, 101),
    ],
)
async def test_origins(stage, headers, allowed, status):
    line, _, error = await ask(stage, headers, allowed_origins=allowed)
    assert line.split()[1] == str(status)
    assert (error is None) == (status == 101) and (error is None or error.status_code == 403)


async def test_a_look_at_the_request(stage):
    def check(asked):
        assert (b"X-Token", b"1") in asked.extra_headers or (b"x-token", b"1") in asked.extra_headers
        raise ConnectionError(401, headers=[("WWW-Authenticate", "Basic"), ("Content-Type", "text/html")], body=b"who?")

    line, head, error = await ask(stage, ("X-Token: 1",), check_request=check)
    assert line == "HTTP/1.1 401 Unauthorized" and error.status_code == 401
    assert "WWW-Authenticate: Basic" in head and head.lower().count("content-type:") == 1


async def test_additional_headers_of_the_response(stage):
    line, head, _ = await ask(stage, response_headers={"Set-Cookie": "a=1"})
    assert line.startswith("HTTP/1.1 101") and "set-cookie: a=1" in head.lower()
