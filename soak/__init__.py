"""Hours in minutes: many connections, mixed traffic and attacks, and what is left of them.  ``make soak``, or ``python -m soak``."""
