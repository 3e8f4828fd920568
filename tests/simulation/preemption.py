"""Preemption: every statement of the sync shell becomes a place where another task may run, as native threads allow it.

The code of each function of those modules is replaced, in place, by the same code with a call of `checkpoint` before every
statement.  While no simulation wants preemption the call does nothing; `restore` puts the original code back.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .scheduler import Scheduler

__all__ = ["MODULES", "begin", "end", "install", "restore"]

#: The modules whose statements count: all that runs while locks are taken and let go.  What is below them (frames, messages,
#: deflate) is used under one lock, and how the statements of a pure function follow each other makes no difference.
MODULES = (
    "keeper", "watch", "link", "inbound", "outbound", "transport",
    "protocol.connection", "protocol.control", "protocol.unread", "protocol.clock",
)  # fmt: skip

_NEVER = 10**12
_CALL = "__checkpoint__"

_left = _NEVER
_scheduler: Scheduler | None = None
_gap = 0
_originals: dict[FunctionType, CodeType] = {}


def checkpoint() -> None:
    """Before every statement."""
    global _left
    _left -= 1
    if _left < 0:
        _preempt()


def _preempt() -> None:
    global _left
    scheduler = _scheduler
    if scheduler is None or scheduler.dead:
        _left = _NEVER
        return
    _left = int(scheduler.random.random() * 2 * _gap)
    if scheduler.surprise is not None:
        surprise, scheduler.surprise = scheduler.surprise, None
        surprise()
    scheduler.pause()


def begin(scheduler: Scheduler, gap: int) -> None:
    """Preempt after so many statements, in the mean; 0 for never."""
    global _left, _scheduler, _gap
    _scheduler, _gap = scheduler, gap
    _left = gap if gap else _NEVER


def end() -> None:
    """Do not preempt any more."""
    global _left, _scheduler
    _left, _scheduler = _NEVER, None


def install() -> None:
    """Put the calls in."""
    if _originals:
        return
    for name in MODULES:
        module = importlib.import_module(f"simple_websocket.{name}")
        path = inspect.getsourcefile(module)
        assert path is not None
        tree = _Checkpoints().visit(ast.parse(inspect.getsource(module), path))
        codes = {_place(code): code for code in _codes(compile(ast.fix_missing_locations(tree), path, "exec"))}
        setattr(module, _CALL, checkpoint)
        for function in _functions(module):
            code = codes.get(_place(function.__code__))
            if code is not None:
                _originals[function] = function.__code__
                function.__code__ = code.replace(co_flags=function.__code__.co_flags)
    assert len(_originals) > 80, "the package's functions were not found"


def restore() -> None:
    """Take them out again."""
    for function, code in _originals.items():
        function.__code__ = code
    _originals.clear()
    for name in MODULES:
        vars(importlib.import_module(f"simple_websocket.{name}")).pop(_CALL, None)


class _Checkpoints(ast.NodeTransformer):
    """Puts a call before every statement of a function, but for a docstring."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.body = _interspersed(node.body)
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.ExceptHandler)):
            for field in ("body", "orelse", "finalbody"):
                if statements := getattr(node, field, None):
                    setattr(node, field, _interspersed(statements))
        return node


def _interspersed(statements: list[ast.stmt]) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for statement in statements:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not docstring and not isinstance(statement, (ast.Global, ast.Nonlocal, ast.Pass, ast.Import, ast.ImportFrom)):
            call = ast.Expr(ast.Call(ast.Name(_CALL, ast.Load()), [], []))
            found.append(ast.copy_location(call, statement))
        found.append(statement)
    return found


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_name, code.co_firstlineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The functions and methods that a module defines."""
    for value in vars(module).values():
        if getattr(value, "__module__", None) == module.__name__:
            if isinstance(value, FunctionType):
                yield value
            elif inspect.isclass(value):
                for member in vars(value).values():
                    function: Any = getattr(member, "fget", None) or getattr(member, "__func__", member)
                    if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                        yield function
