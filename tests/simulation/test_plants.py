"""Each planted bug is found within 2 000 seeds, all of which hold without it."""

import pytest

from tests.simulation.plants import PLANTS, planted
from tests.simulation.runner import sweep

SEEDS = 2000


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.limit(300)
def test_a_planted_bug_is_found(plant):
    with planted(plant):
        found = next(sweep(range(SEEDS), stop_at_first=True), None)
    assert found is not None, f"{plant} was not found in {SEEDS} seeds"
    seed, _ = found
    assert not list(sweep([seed])), f"seed {seed} fails without the planted bug as well"
