"""2 000 seeds, and all that ever failed."""

import pytest

from tests.simulation.runner import kept_seeds, replay, sweep

SEEDS = 2000
PART = 250


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
@pytest.mark.limit(300)
def test_seeds(first):
    failed = list(sweep(range(first, first + PART)))
    assert not failed, "\n".join(f"seed {seed}: {replay(seed)}\n{what}" for seed, what in failed)


@pytest.mark.parametrize("seed", kept_seeds())
def test_a_seed_that_once_failed(seed):
    assert not list(sweep([seed])), replay(seed)
