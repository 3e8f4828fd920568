"""Simulation: the sync shell on one deterministic scheduler, with a virtual clock and a network that splits, delays and cuts.

``scheduler`` chooses at every primitive who runs next, ``preemption`` makes every statement of the shell such a place,
``network`` is what the sockets talk over, ``machine`` makes a `Backend` record of all that.  ``on_simulation`` is the world in
which the cases of tests/cases run; ``program`` (with ``users``, ``peers`` and ``judge``) is the random one.

One seed decides about everything, so that a failure can be had again: ``python -m tests.simulation SEED --trace``.
"""
