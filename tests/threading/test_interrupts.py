"""Ctrl-C at any moment at all of a program that sends and receives: it leaves no lock taken and no frame torn."""

import random

import pytest

from simple_websocket import ConnectionClosed


def echo(ws):
    for message in ws:
        ws.send(message)
    ends.append(ws.close_reason)


ends: list[int] = []


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("compression", [False, True], ids=["", "compressed"])
def test_an_interrupt_at_any_moment(world, tls, compression):
    ends.clear()
    dice = random.Random(7)
    stop = world.clock() + 2.0
    survived = lost = 0
    with world.serving(echo, tls, compression=compression) as url:
        ws = world.connect(url, tls, compression=compression)
        while world.clock() < stop:
            try:
                with world.interrupting(dice.uniform(0.00005, 0.003), KeyboardInterrupt):
                    while True:
                        ws.send("small " * 20)
                        ws.receive()
            except KeyboardInterrupt:
                pass
            except ConnectionClosed:
                pass
            # In another thread, because a lock that was never let go would keep this one for ever.
            if world.spawn(still_works, ws, f"probe {survived}").result(5):
                survived += 1
            else:
                lost += 1
                ws = world.connect(url, tls, compression=compression)
        ws.close()
    assert survived > 5
    # Interrupted in the middle of a frame, a connection is lost; the peer must not be sent, or blamed for, what is no frame.
    assert set(ends) <= {1000, 1006}
    assert ends.count(1006) <= lost


def still_works(ws, probe):
    """Whether the connection is open and does all that it did; the end of it is allowed too."""
    try:
        ws.send(probe)
        while True:
            message = ws.receive(4)
            assert message in (probe, "small " * 20), message
            if message == probe:
                return True
    except ConnectionClosed:
        assert not ws.connected
        ws.close()
        return False
