"""Messages that wait to be received, and when there is room for more."""

import pytest

from simple_websocket.protocol.unread import Unread


@pytest.mark.parametrize("message", ["\u2603" * 10, b"x" * 10])
def test_full_by_size(message):
    unread = Unread(100, 25)
    assert unread.has_room and not unread
    unread.put(message)
    unread.put(message)
    assert unread.has_room
    unread.put(message)  # the last may go over the bound: it has been read already
    assert not unread.has_room and len(unread) == 3
    assert unread.take() == message
    assert unread.has_room


def test_full_by_count():
    unread = Unread(2, 1000)
    unread.put("")
    assert unread.has_room
    unread.put(b"")
    assert not unread.has_room
    assert [unread.take(), unread.take()] == ["", b""]
    assert unread.has_room and not unread


def test_in_their_order():
    unread = Unread(10, 10)
    for message in ("a", b"b", "c"):
        unread.put(message)
    assert [unread.take() for _ in range(3)] == ["a", b"b", "c"]


def test_nothing_left():
    unread = Unread(1, 10)
    assert unread.take() is None and unread.take_late() is None
    unread.put("only")
    assert unread.take_late() == "only"
    assert unread.take() is None
