"""The keeper's greenlet, killed by somebody who kills whatever runs."""

from tests.support import leaks
from tests.support.wire import PING, PONG


def test_a_keeper_that_is_killed_is_replaced_with_the_next_connection(world):
    ws, peer = world.open("server")
    world.until(lambda: ws._link.watched)
    for _ in range(2):
        (keeper,) = leaks.keepers()
        keeper.kill()
        assert not leaks.keepers()
        peer.send("still received")
        assert ws.receive(5) == "still received"
        _, other = world.open("client")
        for one in (peer, other):  # the new one looks after all of them
            one.send_frame(PING, b"anybody there?")
            assert one.expect(PONG, 2).payload == b"anybody there?"
        (successor,) = leaks.keepers()
        assert successor is not keeper
