"""Fuzzing of the sans-I/O core: random and mutated bytes, as server and as client, split at every boundary.

==================  ==========================================================================================
``targets.py``      what is done with one input, and what must hold: plain functions of bytes
``conversing.py``   `Protocol` under a stream, in several chunkings, and the invariants of a connection
``seeds.py``        inputs to begin with, made from valid conversations
``mutation.py``     a random mutation driver, where atheris cannot be had
``worker.py``       one target in one process, under atheris or the driver above
``__main__.py``     all of them, bounded in time: `make fuzz`
==================  ==========================================================================================

Hypothesis runs the same targets in tests/protocol/test_fuzz.py.
"""
