"""Settings of hypothesis: the same examples on every run, or more and new ones with HYPOTHESIS_PROFILE=long."""

import os

from hypothesis import HealthCheck, Phase, settings

# Explaining a failure takes longer than finding and shrinking it, longer than a test may take.
_PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
_SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

# Derived from the test alone, so that what fails on one machine fails on every other.
settings.register_profile(
    "default", max_examples=300, derandomize=True, deadline=None, phases=_PHASES, suppress_health_check=_SLOW_IS_FINE
)
# New examples each time; a failure prints the decorator that plays it again, on any machine.
settings.register_profile(
    "long", max_examples=10_000, print_blob=True, deadline=None, phases=_PHASES, suppress_health_check=_SLOW_IS_FINE
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
