"""Plays a script (``script.py``) against `Server` or `Client` in a world."""

from __future__ import annotations

from typing import Any

import pytest

from simple_websocket import ConnectionClosed

from .peer import Peer
from .script import Script
from .wire import CLOSE, Frame
from .world import World


def play(world: World, script: Script, side: str, receive_bytes: int) -> None:
    """Send what the script says in one write, and look at everything that comes of it.

    :param receive_bytes: how much the connection under test reads at once: with 1, every boundary is one between two reads.
    """
    ws, peer = world.open(side, headers=script.headers, receive_bytes=receive_bytes, **script.options)
    peer.stream.write(script.stream(peer.client))
    if script.ends is None:
        _stays_open(world, script, ws, peer)
        return
    if script.cut:
        peer.stream.fin()
    ending = world.spawn(_read_to_the_end, script, peer)
    for message in script.receives:
        _same(ws.receive(5), message)
    with pytest.raises(ConnectionClosed) as error:
        ws.receive(5)
    script.check_error(error.value.reason, error.value.message)
    answers, close = ending.result()
    assert answers == list(script.answers)
    if not script.cut:
        assert close is not None, "no Close frame"
        script.check_close(close.payload)
    assert ws.close_reason == script.ends and not ws.connected
    with pytest.raises(ConnectionClosed):
        ws.send("late")


def _stays_open(world: World, script: Script, ws: Any, peer: Peer) -> None:
    for message in script.receives:
        _same(ws.receive(5), message)
    if script.then is not None:
        receiving = world.spawn(ws.receive, 5)
        _answers(script, peer)
        peer.stream.write(script.then.wire(peer.client))
        _same(receiving.result(), script.last)
    peer.send("still here")
    assert ws.receive(5) == "still here"
    if script.then is None:
        _answers(script, peer)
    ws.send("me too")
    assert peer.receive() == "me too"
    assert ws.connected and ws.close_reason is None


def _answers(script: Script, peer: Peer) -> None:
    for answer in script.answers:
        found = peer.expect(answer[0])
        assert (found.opcode, found.payload) == answer


def _read_to_the_end(script: Script, peer: Peer) -> tuple[list[tuple[int, bytes]], Frame | None]:
    """Read the answers and the Close frame, if any; end TCP as a peer does; nothing may follow."""
    answers = []
    while (found := peer.next_frame()) is not None and found.opcode != CLOSE:
        answers.append((found.opcode, found.payload))
    if found is not None:
        if script.fails:
            peer.stream.fin()
        else:
            peer.hang_up()
        peer.expect_end()
    return answers, found


def _same(got: Any, expected: Any) -> None:
    assert type(got) is type(expected) and got == expected
