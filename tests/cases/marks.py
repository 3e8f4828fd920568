"""The ways in which many cases are run: as client and as server, plain and over TLS."""

import pytest

both_sides = pytest.mark.parametrize("side", ["client", "server"])
plain_and_tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])

# For cases that take their time: each side and each transport once, half of the combinations.
one_plain_one_tls = pytest.mark.parametrize(
    ("side", "tls"), [("client", False), ("server", True)], ids=["client-plain", "server-tls"]
)
one_tls_one_plain = pytest.mark.parametrize(
    ("side", "tls"), [("client", True), ("server", False)], ids=["client-tls", "server-plain"]
)
