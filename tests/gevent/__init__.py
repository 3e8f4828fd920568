"""Every case of tests/cases under the gevent backend, and what concerns this backend alone."""
