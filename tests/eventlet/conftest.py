import pytest

pytest.register_assert_rewrite("tests.cases", "tests.support")

from tests.support.fixtures import warm_fixture, world_fixture  # noqa: E402
from tests.support.on_eventlet import EventletWorld  # noqa: E402

warm = warm_fixture(EventletWorld)
world = world_fixture(EventletWorld)
