"""Hours in minutes: connections, mixed traffic, attacks, and what is left of them.  ``make soak``, or ``python -m soak``."""
