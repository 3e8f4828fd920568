import gc
from collections import Counter
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.cases", "tests.support", "tests.simulation.judge")

from . import preemption  # noqa: E402
from .network import FAIR, Weather  # noqa: E402
from .on_simulation import Complaints, SimulatedWorld  # noqa: E402

HERE = Path(__file__).parent

ROUGH = Weather(capacity=1 << 18, cut=0.3, split=0.3, delay=0.004)

WORLDS = {
    "threads": (1, True, FAIR, 0),
    "threads, preempted": (2, True, ROUGH, 8),
    "greenlets": (3, False, ROUGH, 0),
}
ROUGHEST = "threads, preempted"

#: A case with more combinations than this, over all worlds, is about bytes: it is run in one world only, and of its combinations
#: as many as that.
MANY = 100


@pytest.fixture(scope="session", autouse=True)
def preempted():
    """The package's modules with their statements as places where another task may run."""
    preemption.install()
    yield
    preemption.restore()


@pytest.fixture(params=WORLDS)
def world(request, monkeypatch):
    """A simulated world; when the test is over, nothing of it may be left."""
    gc.collect()
    gc.freeze()  # what is there already need not be looked at again and again
    gc.disable()  # it would call finalizers at other moments in every run
    world = SimulatedWorld(*WORLDS[request.param])
    world.replace_leaks(monkeypatch)
    try:
        with Complaints() as complaints:
            yield world
            world.clean_up()
            world.assert_nothing_is_left()
            assert not complaints.found
    finally:
        gc.enable()
        preemption.end()
        world.scheduler.end()
        world.machine.end()


def pytest_collection_modifyitems(config, items):
    """Leave out the combinations of a case and a world that do not fit; test_cases.py says why."""
    ours = [item for item in items if item.path == HERE / "test_cases.py" and hasattr(item, "callspec")]
    plain = [item for item in ours if not item.callspec.params.get("tls")]
    combinations = Counter(item.originalname for item in plain)

    turns = Counter()

    def fits(item):
        parameters = item.callspec.params
        world = parameters.get("world")
        if world is None:
            return True  # no case of a connection
        if parameters.get("tls"):
            return False
        many = combinations[item.originalname]
        if many > MANY:
            if world != ROUGHEST:
                return False
            turns[item.originalname] += 1
            return turns[item.originalname] % (1 + many // len(WORLDS) // MANY) == 0
        return WORLDS[world][2] is FAIR or item.originalname not in item.module.NEEDS_A_FAIR_NETWORK

    left_out = [item for item in ours if not fits(item)]
    out = set(left_out)
    kept = [item for item in items if item not in out]
    if left_out:
        items[:] = kept
        config.hook.pytest_deselected(items=left_out)
