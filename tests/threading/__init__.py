"""Every case of tests/cases under the threading backend, and what concerns this backend alone."""
