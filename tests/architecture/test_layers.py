"""The layers of the package: who may import whom, and how large a file and a class may get.

A new module needs a row in MAY_IMPORT; a module that is gone loses its row.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import simple_websocket

PACKAGE = Path(simple_websocket.__file__).parent
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
IN_C = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.[ch]"))

MOST_LINES = 450
MOST_METHODS = 20

# Each module, and what it may import of ours. The name of a package stands for everything in it. From the bottom up.
MAY_IMPORT = {
    "errors.py": [],
    "stopping.py": [],
    "backends/__init__.py": [],
    "backends/selector.py": ["backends"],
    "backends/threading.py": ["backends", "stopping"],
    "backends/gevent.py": ["backends", "stopping"],
    "backends/eventlet.py": ["backends", "stopping"],
    "protocol/__init__.py": [],
    "protocol/masking.py": ["protocol"],
    "protocol/outbox.py": ["protocol"],
    "protocol/clock.py": [],
    "protocol/frames.py": ["errors", "protocol"],
    "protocol/deflate.py": ["errors", "protocol"],
    "protocol/messages.py": ["errors", "protocol"],
    "protocol/origin.py": ["errors"],
    "protocol/handshake.py": ["errors", "protocol"],
    "protocol/request.py": ["errors"],
    "protocol/control.py": [],
    "protocol/payload.py": ["protocol"],
    "protocol/connection.py": ["errors", "protocol"],
    "protocol/unread.py": [],
    "options.py": ["protocol"],
    "transport.py": ["errors", "backends", "protocol"],
    "wsgi.py": ["errors", "backends", "protocol", "stopping"],
    "dial.py": ["errors", "backends", "protocol", "transport"],
    "watch.py": ["backends"],
    "keeper.py": ["errors", "backends", "transport", "watch"],
    "outbound.py": ["errors", "backends", "protocol", "transport"],
    "inbound.py": ["protocol", "transport", "outbound"],
    "link.py": ["errors", "backends", "protocol", "transport", "watch", "keeper", "outbound", "inbound"],
    "handover.py": ["errors", "link", "stopping"],
    "sync.py": ["errors", "backends", "protocol", "options", "transport", "wsgi", "dial", "keeper", "link", "handover"],
    "going_away.py": ["keeper", "stopping", "sync"],
    "listening.py": ["backends"],
    "exchange.py": ["errors", "backends", "protocol", "transport", "sync", "going_away"],
    "serving.py": ["errors", "backends", "sync", "listening", "exchange"],
    "asgi.py": ["errors", "protocol"],
    "_aiospeedups.c": ["protocol"],
    "aiowaiting.py": ["protocol", "_aiospeedups"],
    "aiooutbound.py": ["protocol", "aiowaiting", "_aiospeedups"],
    "aioinbound.py": [],
    "aiolink.py": ["errors", "protocol", "aiowaiting", "aioinbound", "aiooutbound"],
    "aiosocket.py": ["errors", "protocol", "aiolink"],
    "aiodial.py": ["errors", "protocol", "dial", "aiolink"],
    "aio.py": ["errors", "protocol", "options", "dial", "asgi", "aiolink", "aiosocket", "aiodial"],
    "broadcasting.py": ["errors", "protocol", "sync", "aio"],
    "__init__.py": ["errors", "backends", "protocol", "sync", "aio", "broadcasting", "going_away", "serving"],
}

# What is not ours and not in the standard library, and where it may be imported.
MAY_BE_IMPORTED_BY = {
    "wsproto": ["protocol"],
    "h11": ["protocol"],
    "gevent": ["backends/gevent"],
    "eventlet": ["backends/eventlet"],
    "greenlet": ["backends/gevent", "backends/eventlet"],
}
# Names that are passed on from elsewhere, module by module.
PASSED_ON = {
    "errors.py": {"wsproto": {"CloseReason", "Request"}},
    "__init__.py": {"wsproto": {"CloseReason", "Request"}},
}
# For type checkers alone, anywhere.
FOR_TYPES = {"typing_extensions"}

# The protocol does no I/O and has no clock, and what surrounds it has every primitive from its backend.
IO = {"socket", "ssl", "time", "threading", "_thread", "select", "selectors", "asyncio", "queue", "concurrent", "signal"}
NOT_IN = {
    "protocol": IO,
    "errors": IO,
    **{name: IO - {"socket", "ssl", "selectors"} for name in ("transport", "wsgi", "dial", "keeper", "outbound", "link", "sync")},
}


class Import(NamedTuple):
    """One module that a file imports: `level` 0 is absolute; `names` are empty for `import module`."""

    line: int
    level: int
    module: str
    names: tuple[str, ...]
    for_types: bool


def imports_of(source: str) -> Iterator[Import]:
    """Every import there is, also inside functions and through importlib with a name that stands there."""

    def walk(node: ast.AST, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, 0, alias.name, (), for_types)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.lineno, node.level, node.module or "", tuple(alias.name for alias in node.names), for_types)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
            named = node.args[0] if node.args else None
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                level = len(named.value) - len(named.value.lstrip("."))
                yield Import(node.lineno, level, named.value.lstrip("."), (), for_types)
        if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            for child in node.body:
                yield from walk(child, True)
            for child in node.orelse:
                yield from walk(child, for_types)
            return
        for child in ast.iter_child_nodes(node):
            yield from walk(child, for_types)

    return walk(ast.parse(source), False)


def module_of(file: str) -> str:
    """``protocol/frames.py`` -> ``protocol/frames``; a package is named like its folder, the topmost ``__init__``."""
    return file.removesuffix(".py").removesuffix(".c").removesuffix("/__init__")


def covers(allowed: str, module: str) -> bool:
    return module == allowed or module.startswith(allowed + "/")


def ours(file: str, found: Import) -> list[str] | None:
    """The modules of ours that this imports, ``None`` when it is not ours."""
    if found.level:
        package = file.split("/")[:-1]
        base = package[: len(package) - (found.level - 1)]
    elif found.module.split(".")[0] == PACKAGE.name:
        base = []
    else:
        return None
    rest = found.module.split(".") if found.module else []
    parts = [*base, *(rest if found.level else rest[1:])]
    modules = {module_of(name) for name in MAY_IMPORT} | {module_of(name) for name in FILES}
    targets = []
    for name in found.names or ("",):
        below = "/".join([*parts, name])
        targets.append(below if below in modules else "/".join(parts) or "__init__")
    return targets


def complaints(file: str, source: str) -> list[str]:
    """What the tables above forbid in a file, in words."""
    me = module_of(file)
    said = []
    for found in imports_of(source):
        where = f"{file}:{found.line}"
        targets = ours(file, found)
        if targets is not None:
            for target in targets:
                if target != me and not any(covers(allowed, target) for allowed in MAY_IMPORT[file]):
                    said.append(f"{where} imports {target}, but may import {MAY_IMPORT[file] or 'nothing of ours'}")
            continue
        root = found.module.split(".")[0]
        if root in sys.stdlib_module_names:
            for part, forbidden in NOT_IN.items():
                if covers(part, me) and root in forbidden:
                    said.append(f"{where} imports {root}, which {part} must not")
        elif root in FOR_TYPES:
            if not found.for_types:
                said.append(f"{where} imports {root} outside `if TYPE_CHECKING`")
        elif not any(covers(allowed, me) for allowed in MAY_BE_IMPORTED_BY.get(root, [])):
            passed_on = PASSED_ON.get(file, {}).get(root, set())
            if not found.names or not passed_on.issuperset(found.names):
                said.append(f"{where} imports {root}, which is for {MAY_BE_IMPORTED_BY.get(root, 'nobody')}")
    return said


@pytest.mark.parametrize("file", FILES)
def test_imports(file):
    assert file in MAY_IMPORT, f"{file} is new: give it a row in MAY_IMPORT"
    assert complaints(file, (PACKAGE / file).read_text("utf-8")) == []


def test_the_table_has_no_row_for_a_file_that_is_gone():
    assert sorted(set(MAY_IMPORT) - set(FILES) - set(IN_C)) == []


def test_the_table_goes_from_the_bottom_up():
    """No module may import one that comes later in the table, so there are no circles between layers."""
    layers = list(dict.fromkeys(module_of(file).split("/")[0] for file in MAY_IMPORT))
    for file, allowed in MAY_IMPORT.items():
        here = layers.index(module_of(file).split("/")[0])
        assert all(layers.index(name) <= here for name in allowed), file


@pytest.mark.parametrize("file", FILES + IN_C)
def test_no_file_is_too_long(file):
    lines = (PACKAGE / file).read_text("utf-8").count("\n")
    assert lines <= MOST_LINES, f"{file} has {lines} lines: is an idea missing?"


def methods(source: str) -> dict[str, int]:
    """Count each class's methods; a property is an attribute."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {
        node.name: sum(isinstance(child, kinds) and not is_property(child) for child in node.body)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
    }


def is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == "property" for decorator in function.decorator_list)


@pytest.mark.parametrize("file", FILES)
def test_no_class_has_too_many_methods(file):
    counts = methods((PACKAGE / file).read_text("utf-8"))
    assert {name: count for name, count in counts.items() if count > MOST_METHODS} == {}


# The checks above have to see what they are for.


@pytest.mark.parametrize(
    "file, source",
    [
        ("keeper.py", "from .link import Link"),
        ("keeper.py", "from . import link"),
        ("keeper.py", "from simple_websocket import link"),
        ("keeper.py", "import simple_websocket.link"),
        ("keeper.py", "def f():\n    from .link import Link"),
        ("keeper.py", "from . import __version__"),
        ("link.py", "from .sync import Client"),
        ("protocol/frames.py", "from ..transport import Transport"),
        ("protocol/frames.py", "from .. import backends"),
        ("protocol/frames.py", "import socket"),
        ("protocol/connection.py", "from time import monotonic"),
        ("protocol/connection.py", "import asyncio.events"),
        ("errors.py", "from .protocol import frames"),
        ("errors.py", "from wsproto.frame_protocol import FrameProtocol"),
        ("errors.py", "import wsproto"),
        ("sync.py", "from wsproto.events import Request"),
        ("sync.py", "import h11"),
        ("sync.py", "import threading"),
        ("sync.py", "from typing_extensions import Self"),
        ("link.py", "import requests"),
        ("backends/__init__.py", "import gevent"),
        ("backends/__init__.py", "from .threading import BACKEND"),
        ("backends/__init__.py", "import importlib\nimportlib.import_module('gevent.socket')"),
        ("backends/gevent.py", "import eventlet"),
        ("backends/threading.py", "__import__('gevent')"),
        ("transport.py", "try:\n    import gevent\nexcept ImportError:\n    pass"),
    ],
)
def test_forbidden_imports_are_seen(file, source):
    assert len(complaints(file, source)) == 1


@pytest.mark.parametrize(
    "file, source",
    [
        ("errors.py", "from wsproto.frame_protocol import CloseReason"),
        ("protocol/handshake.py", "import h11, wsproto.events\nfrom ..errors import ConnectionError\nfrom . import deflate"),
        ("backends/gevent.py", "import gevent.socket\nfrom . import Backend\nfrom .selector import HubSelector\nimport time"),
        ("sync.py", "from . import wsgi\nfrom .protocol.handshake import Request\nimport logging"),
        ("sync.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from typing_extensions import Self"),
        ("__init__.py", "from .sync import Client\nfrom wsproto.events import Request"),
    ],
)
def test_allowed_imports_are_left_alone(file, source):
    assert complaints(file, source) == []


def test_methods_are_counted():
    source = "class A:\n    def a(self): ...\n    async def b(self): ...\n    @property\n    def c(self): ...\n    d = 1"
    assert methods(source) == {"A": 2}
