"""Client(): addresses that are of no use, each in its own way."""

import dataclasses
import socket

import pytest

from simple_websocket import Client
from simple_websocket.backends import resolve
from tests.cases.dialing import accepting

NO_FAMILY = 12345  # no machine has it


def finding(world, *entries):
    """A backend that finds these addresses, (family, address), for every name."""
    found = [(family, socket.SOCK_STREAM, 6 if family == socket.AF_INET else 0, "", address) for family, address in entries]
    return dataclasses.replace(resolve(**world.options), getaddrinfo=lambda *_: found)


def test_a_family_of_addresses_that_this_machine_does_not_have(world):
    listener = world.listen()
    task = accepting(world, listener)
    ws = world.connect("ws://name.test", backend=finding(world, (NO_FAMILY, ("x", 1)), (socket.AF_INET, listener.address)))
    task.result().send("found")
    assert ws.receive(5) == "found"
    with pytest.raises(OSError, match="family"):
        Client.connect("ws://name.test", backend=finding(world, (NO_FAMILY, ("x", 1))))


def test_an_address_that_fails_at_once(world):
    """Nobody can connect to the broadcast address, which needs no waiting to find out."""
    with pytest.raises(OSError, match="255.255.255.255 port 9"):
        Client.connect("ws://255.255.255.255:9/", open_timeout=5, **world.options)


def test_a_name_that_has_no_address(world):
    with pytest.raises(OSError, match="no address"):
        Client.connect("ws://name.test", backend=finding(world))


def test_an_address_that_is_none_leaves_nothing(world):
    """What a resolver of one's own may return by mistake; the world looks for descriptors that are left."""
    with pytest.raises(OverflowError):
        Client.connect("ws://name.test", backend=finding(world, (socket.AF_INET, ("127.0.0.1", 99_999))))
