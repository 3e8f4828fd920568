import pytest

pytest.register_assert_rewrite("tests.cases", "tests.support")

from tests.support.fixtures import warm_fixture, world_fixture  # noqa: E402
from tests.support.on_threads import ThreadWorld  # noqa: E402

warm = warm_fixture(ThreadWorld)
world = world_fixture(ThreadWorld)
