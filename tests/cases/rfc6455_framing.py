"""RFC 6455 sections 5 to 10, case by case: the scripts of ``tests/support/script_rfc6455.py``."""

import pytest

from tests.support.play import play
from tests.support.script import name_of, played
from tests.support.script_rfc6455 import SCRIPTS


@pytest.mark.parametrize("side, receive_bytes, script", played(SCRIPTS), ids=name_of)
def test_rfc_6455(world, side, receive_bytes, script):
    play(world, script, side, receive_bytes)
