"""The test folders are named after real packages; none of them may shadow one."""

import importlib.util
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent


def test_only_the_root_is_on_the_path():
    entries = {Path(entry or ".").resolve() for entry in sys.path}
    assert TESTS.parent in entries
    assert not [entry for entry in entries if entry == TESTS or TESTS in entry.parents]


def test_every_folder_is_a_package():
    """Otherwise pytest would put the folder itself on sys.path."""
    folders = {path.parent for path in TESTS.rglob("test_*.py")}
    assert folders
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_threading_is_the_real_one():
    import threading

    assert TESTS not in Path(threading.__file__).resolve().parents


@pytest.mark.parametrize("name", ["gevent", "eventlet"])
def test_greenlet_packages_are_the_real_ones(name):
    """Not installed on every interpreter, but never found under tests/."""
    spec = importlib.util.find_spec(name)
    if spec is not None:
        assert TESTS not in Path(spec.origin).resolve().parents
