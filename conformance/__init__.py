"""`python -m conformance`: the Autobahn test suite against every server and client of the library."""
