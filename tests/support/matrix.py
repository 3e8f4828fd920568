"""Which cases there are: by importing them, and, for the check that none is forgotten, by reading the files."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import cases


def all_cases() -> dict[str, Callable[..., Any]]:
    """Every case by its name."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(cases.__path__):
        for name, value in vars(importlib.import_module(f"tests.cases.{module.name}")).items():
            if name.startswith("test_"):
                assert name not in found, f"two cases are called {name}"
                found[name] = value
    return found


def written_cases() -> set[str]:
    """The names of the cases in the files of tests/cases; each name once."""
    names: list[str] = []
    for file in sorted(Path(cases.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                names.append(node.name)
    assert len(names) == len(set(names)), "two cases have one name"
    assert names
    return set(names)
