"""Each planted bug is found within 2 000 seeds, all of which hold without it, and for what is wrong with it."""

import pytest

from tests.simulation.plants import PLANTS, planted
from tests.simulation.runner import sweep

SEEDS = 2000


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.limit(300)
def test_a_planted_bug_is_found(plant):
    _, looks = PLANTS[plant]
    others = {}
    with planted(plant):
        for seed, what in sweep(range(SEEDS)):
            if looks.search(what) and "Error: " not in what:  # a plant that does not fit the code any more crashes
                break
            others[seed] = what.splitlines()[0]
        else:
            pytest.fail(f"{plant} was not found in {SEEDS} seeds; what was: {others}")
    assert not list(sweep([seed])), f"seed {seed} fails without the planted bug as well"
