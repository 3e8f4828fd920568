"""Fuzz the protocol core: `fuzz.py [options of python -m fuzzing]`, by `make fuzz`.

atheris has wheels for some versions of Python only, so .venv-fuzz is made with the newest Python of this machine that can have
it. Where none can, or the package index has none, our own random mutation driver runs instead, and this says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from interpreters import Interpreter, others, this_one
from progress import say
from setup_venv import ROOT, SetupFailed, ensure, is_ready, python_of

VENV = ROOT / ".venv-fuzz"
# Those that the wheels of atheris 2.3, 3.0 and 3.1 are for; a newer one is worth a try, last.
PREFERRED = ["3.13", "3.12", "3.11", "3.10"]


def candidates() -> list[Interpreter]:
    here = this_one()
    known = {one.label: one for one in [here, *others(here)] if one.complete}
    rest = [label for label in known if label not in PREFERRED and not label.endswith("t")]
    return [known[label] for label in [*PREFERRED, *rest] if label in known]


def prepare() -> None:
    """Make the venv. SetupFailed: not even without atheris."""
    if is_ready(VENV, "fuzz"):
        return
    if is_ready(VENV, "matrix"):
        say("==> without atheris, as it could not be installed; to try again: make clean")
        return
    # A source distribution of atheris wants clang and minutes.
    os.environ["PIP_ONLY_BINARY"] = "atheris"
    for interpreter in candidates():
        try:
            ensure(VENV, "fuzz", interpreter.executable)
            return
        except SetupFailed as error:
            say(f"!!! no atheris for Python {interpreter.label}: {str(error).splitlines()[0]}")
            shutil.rmtree(VENV, ignore_errors=True)
    say("!!! atheris cannot be installed for any Python of this machine (3.10 to 3.13 have wheels, on Linux and macOS);")
    say("    what runs instead is a random mutation driver, which finds less in the same time")
    ensure(VENV, "matrix", sys.executable)


def main(arguments: list[str]) -> int:
    os.chdir(ROOT)
    try:
        prepare()
        return subprocess.call([str(python_of(VENV)), "-m", "fuzzing", *arguments])
    except SetupFailed as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
