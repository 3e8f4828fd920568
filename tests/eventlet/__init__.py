"""Every case of tests/cases under the eventlet backend, and what concerns this backend alone."""
