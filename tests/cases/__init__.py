"""The cases of the sync classes, written once.

Nothing here is collected from here: tests/threading, tests/gevent and tests/eventlet run every `test_` function of this folder,
each in its own world.  A case must use the world for whatever waits, runs beside it or locks.
"""
