"""Which origins may connect (RFC 6455 section 10.2)."""

import re

import pytest
from wsproto.events import Request

from simple_websocket.errors import ConnectionError
from simple_websocket.protocol.origin import check_origin

MINE = "https://example.org"


def asked(*origins):
    headers = [(b"origin", one.encode("latin-1")) for one in origins]
    return Request(host="example.org", target="/", extra_headers=[(b"cookie", b"a=b"), *headers])


def passes(allowed, *origins):
    try:
        check_origin(asked(*origins), allowed)
    except ConnectionError as error:
        assert error.status_code == 403
        assert (origins[0] if origins and origins[0] else "names no origin") in str(error)
        return False
    return True


@pytest.mark.parametrize("origins", [(), (MINE,), ("null",), (MINE, "https://evil.example")])
def test_everybody_may_when_nothing_is_said(origins):
    assert passes(None, *origins)


@pytest.mark.parametrize("allowed", [MINE, MINE + "/", "HTTPS://EXAMPLE.ORG", [MINE], (one for one in ["http://other", MINE])])
def test_by_name(allowed):
    assert passes(allowed, MINE)


@pytest.mark.parametrize(
    "origin",
    ["http://example.org", "https://example.org:8443", "https://example.org.evil", "https://sub.example.org", "null", ""],
)
def test_another_origin(origin):
    assert not passes([MINE, "https://second.example"], origin)


def test_no_origin_at_all_is_for_those_who_allow_it():
    """Programs that are no browsers send none."""
    assert not passes([MINE])
    assert not passes([])
    assert not passes([re.compile(".*")])
    assert passes([MINE, None])
    assert not passes([None], MINE)


def test_two_origins_are_none():
    assert not passes([MINE], MINE, MINE)


def test_by_pattern_which_has_to_match_all_of_it():
    pattern = re.compile(r"https://([a-z]+\.)?example\.org")
    assert passes(pattern, MINE) and passes([pattern], "https://sub.example.org")
    assert not passes(pattern, "https://example.org.evil")


def test_by_function():
    seen = []

    def rule(origin):
        seen.append(origin)
        return origin is None or "example" in origin

    assert passes(rule, MINE) and passes(rule) and not passes(rule, "https://other")
    assert passes(["https://x", rule], MINE)
    assert seen == [MINE, None, "https://other", MINE]
