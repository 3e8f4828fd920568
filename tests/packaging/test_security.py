"""SECURITY.md names the tests that hold what it says: each of them must be there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
CITED = sorted(set(re.findall(r"`(test_\w+)`", (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8"))))


def defined(path):
    """Names of the test functions at the top of a module."""
    return {node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_tests_are_cited():
    assert CITED


@pytest.mark.parametrize("name", CITED)
def test_a_cited_test_exists(name):
    # tests/cases/ is collected through tests/threading/ and its siblings; the rest are test modules themselves.
    collected = [*TESTS.rglob("test_*.py"), *(TESTS / "cases").glob("*.py")]
    assert any(name in defined(path) for path in collected), f"SECURITY.md names {name}, which is nowhere under tests/"
