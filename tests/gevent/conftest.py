import pytest

pytest.register_assert_rewrite("tests.cases", "tests.support")

from tests.support.fixtures import warm_fixture, world_fixture  # noqa: E402
from tests.support.on_gevent import GeventWorld  # noqa: E402

warm = warm_fixture(GeventWorld)
world = world_fixture(GeventWorld)
