"""The fixtures of tests/threading, tests/gevent and tests/eventlet; each of their conftest.py says which world."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from . import leaks
from .world import World


def world_fixture(make: type[World]) -> object:
    """Make the `world` fixture."""

    @pytest.fixture
    def world(warm: None) -> Iterator[World]:
        """The world of this folder; when the test is over, no descriptor of its connections may be left."""
        before = leaks.descriptors()
        world = make()
        yield world
        world.clean_up()
        try:
            world.until(lambda: len(leaks.descriptors()) <= len(before) + leaks.KEEPER_FDS, 3.0)
        except AssertionError:
            gc.collect()
            left = {fd: what for fd, what in leaks.descriptors().items() if before.get(fd) != what}
            pytest.fail(f"descriptors left open: {left}")

    return world


def warm_fixture(make: type[World]) -> object:
    """Make the `warm` fixture: what a first connection makes once for the whole process is there after it."""

    @pytest.fixture(scope="session")
    def warm() -> Iterator[None]:
        patched = os.environ.get("GREEN_PATCHED", "")
        if make.patched or patched:
            assert make.patched and patched in ("", make.name), f"GREEN_PATCHED={patched!r}, but {make.name}: {make.patched}"
        for tls in (False, True):
            world = make()
            world.pair(tls)
            world.clean_up()
        world.until(lambda: not leaks.keepers(), what="the end of the keeper")
        before = leaks.descriptors(), leaks.threads(), len(leaks.greenlets())
        yield
        world.until(lambda: not leaks.keepers(), what="the end of the keeper after the last test")
        world.until(lambda: len(leaks.descriptors()) <= len(before[0]), what=f"{before[0]} and now {leaks.descriptors()}")
        world.until(lambda: leaks.threads() <= before[1], what="the end of the threads")
        world.until(lambda: len(leaks.greenlets()) <= before[2], what=f"the end of the greenlets: {leaks.greenlets()}")

    return warm
