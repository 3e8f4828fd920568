"""An ASGI server of which the test writes every event: what the specification lets one do and none of the real ones does here.

In particular `send` may raise when the client has gone (specification 2.4), and so may `receive`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from simple_websocket import AioServer, ConnectionClosed, ConnectionError

SCOPE = {"type": "websocket", "path": "/", "headers": [(b"host", b"example.org")], "subprotocols": []}


class Script:
    """The server's half: events to come, and those it was sent.

    :param events: what `receive` returns, an exception to be raised; after the last one it waits.
    :param refuses: the types of events that `send` raises OSError for.
    """

    def __init__(self, *events: Any, refuses: tuple[str, ...] = ()) -> None:
        self.events = list(events)
        self.refuses = refuses
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        while not self.events:
            await asyncio.sleep(0.005)
        event = self.events.pop(0)
        if isinstance(event, Exception):
            raise event
        return {"type": f"websocket.{event}"} if isinstance(event, str) else event

    async def send(self, event: Any) -> None:
        if event["type"] in self.refuses:
            raise OSError("the client has gone")
        self.sent.append(event)

    async def accept(self) -> AioServer:
        return await AioServer.accept(asgi=(SCOPE, self.receive, self.send))


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def test_a_client_that_has_gone_before_it_was_accepted() -> None:
    script = Script("disconnect")
    with pytest.raises(ConnectionError) as error:
        run(script.accept())
    assert error.value.status_code == 400 and "gone" in str(error.value)


def test_a_send_that_raises_is_the_end_of_the_connection() -> None:
    async def use() -> None:
        script = Script("connect", refuses=("websocket.send",))
        ws = await script.accept()
        with pytest.raises(ConnectionClosed) as error:
            await ws.send("nobody hears it")
        assert error.value.reason == 1006 and not ws.connected

    run(use())


def test_a_send_that_raises_when_the_client_has_said_goodbye() -> None:
    async def use() -> None:
        script = Script("connect", refuses=("websocket.send",))
        ws = await script.accept()
        script.events.append({"type": "websocket.disconnect", "code": 4001, "reason": "bye"})
        with pytest.raises(ConnectionClosed) as error:
            await ws.send("nobody hears it")
        assert (error.value.reason, error.value.message) == (4001, "bye")

    run(use())


def test_a_receive_that_raises_is_the_end_of_the_connection() -> None:
    async def use() -> None:
        script = Script("connect", RuntimeError("there is nothing to receive any more"))
        ws = await script.accept()
        with pytest.raises(ConnectionClosed) as error:
            await ws.receive(5)
        assert error.value.reason == 1006

    run(use())


def test_events_that_nobody_knows_are_passed_over() -> None:
    async def use() -> None:
        script = Script("connect", "of.a.later.version", {"type": "websocket.receive", "text": "hello"})
        ws = await script.accept()
        assert await ws.receive(5) == "hello"
        await ws.close(4000)
        assert script.sent[-1] == {"type": "websocket.close", "code": 4000, "reason": ""}

    run(use())


def test_a_close_that_the_server_does_not_take() -> None:
    async def use() -> None:
        script = Script("connect", refuses=("websocket.close",))
        ws = await script.accept()
        await ws.close()
        assert ws.close_reason == 1000 and not ws.connected

    run(use())
