"""Which Pythons does this machine have? CPython 3.10 to 3.15 and the free-threaded builds, on PATH and in pyenv."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

NAMES = [f"python3.{minor}" for minor in range(10, 16)] + [f"python3.{minor}t" for minor in range(13, 16)]
OLDEST = [3, 10]

# Asked of the interpreter itself: a file of that name may be a shim that leads nowhere.
QUESTION = """
import json, sys, sysconfig
try:
    import ensurepip, venv
    complete = True
except ImportError:
    complete = False
print(json.dumps({
    "version": sys.version_info[:2],
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "name": sys.implementation.name,
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "complete": complete,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    label: str  # "3.12", "3.13t"
    executable: str
    complete: bool  # has venv and ensurepip


def ask(executable: str) -> Interpreter | None:
    """What it is, or None if it does not run or is nothing the project supports."""
    try:
        answer = subprocess.run(
            [executable, "-I", "-c", QUESTION], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    facts = json.loads(answer)
    if facts["name"] != "cpython" or facts["version"] < OLDEST:
        return None
    label = "{}.{}".format(*facts["version"]) + ("t" if facts["free_threaded"] else "")
    return Interpreter(label, facts["executable"], facts["complete"])


def this_one() -> Interpreter:
    found = ask(sys.executable)
    if found is None:
        sys.exit(f"{sys.executable} is not a CPython >= {OLDEST[0]}.{OLDEST[1]}")
    return Interpreter(found.label, sys.executable, found.complete)


def others(main: Interpreter) -> list[Interpreter]:
    """One interpreter per version other than `main`, oldest first, preferably one that can make a venv."""
    found: dict[str, Interpreter] = {}
    for path in candidates():
        interpreter = ask(path)
        if interpreter is None or interpreter.label == main.label:
            continue
        known = found.get(interpreter.label)
        if known is None or (interpreter.complete and not known.complete):
            found[interpreter.label] = interpreter
    return [found[label] for label in sorted(found, key=lambda label: (int(label[2:].rstrip("t")), label))]


def candidates() -> list[str]:
    paths = [path for name in NAMES if (path := shutil.which(name))]
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for folder in sorted(versions.glob("*")):
        paths += [str(path) for name in NAMES if (path := folder / "bin" / name).exists()]
    return paths
