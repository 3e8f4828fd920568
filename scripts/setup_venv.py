"""Make a virtual environment and put into it what one purpose needs: `setup_venv.py VENV PURPOSE`.

A stamp file VENV/stamps/PURPOSE says that it is done; it counts while it is newer than RECIPE. The Makefile
compares the same files. Used by the test runner too, for the other interpreters of the machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from progress import run, say

ROOT = Path(__file__).resolve().parent.parent
RECIPE = [ROOT / "pyproject.toml", ROOT / "setup.cfg", ROOT / "scripts" / "setup_venv.py"]

# purpose -> extras of pyproject.toml
PURPOSES = {
    "demo": "demo",
    "test": "gevent,eventlet,demo,aio,servers,dropin,test,lint",
    "matrix": "test",  # the suites that run on every interpreter
    "conformance": "conformance",
    "fuzz": "fuzz",  # in a venv of its own: see fuzz.py
    "docs": "docs",
    "bench": "bench",
}

# gunicorn 26 removed the eventlet worker. Its tests start a gunicorn 25 from this folder of the venv, by PYTHONPATH.
GUNICORN_25 = "gunicorn25"

# The last simple-websocket that was written before this one, to compare with: it has the same package name.
FIRST_RELEASES = "simple_websocket_1"


class SetupFailed(Exception):
    """The venv could not be made; the message says what was tried and what came out."""


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


def is_ready(venv: Path, purpose: str) -> bool:
    stamp = venv / "stamps" / purpose
    return (
        stamp.exists()
        and python_of(venv).exists()
        and all(stamp.stat().st_mtime >= part.stat().st_mtime for part in RECIPE)
    )


def ensure(venv: Path, purpose: str, base_python: str) -> None:
    """Make or complete the venv, showing what happens. SetupFailed if it cannot be done."""
    if is_ready(venv, purpose):
        return
    started = time.monotonic()
    if works(python_of(venv)):
        say(f"==> {venv.name}: adding what '{purpose}' needs")
    else:
        say(f"==> {venv.name}: making a virtual environment with {base_python}")
        step([base_python, "-m", "venv", "--clear", str(venv)], "the virtual environment could not be made")
    extras = PURPOSES[purpose]
    say(f"==> {venv.name}: installing simple-websocket[{extras}] from this folder")
    pip(venv, "install", "--editable", f"{ROOT}[{extras}]")
    if purpose == "test":
        say(f"==> {venv.name}: gunicorn 25, for the eventlet worker that gunicorn 26 removed")
        pip(venv, "install", "--no-deps", "--upgrade", "--target", str(venv / GUNICORN_25), "gunicorn>=25,<26")
    if purpose == "bench":
        say(f"==> {venv.name}: simple-websocket 1.1.0, to compare with")
        pip(venv, "install", "--no-deps", "--upgrade", "--target", str(venv / FIRST_RELEASES), "simple-websocket==1.1.0")
    stamp = venv / "stamps" / purpose
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(extras + "\n")
    say(f"==> {venv.name}: ready for '{purpose}' after {time.monotonic() - started:.0f} s")


def works(python: Path) -> bool:
    """False for no venv, one whose Python went away, and one that never got its pip."""
    if not python.exists():
        return False
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0


def pip(venv: Path, *arguments: str) -> None:
    command = [str(python_of(venv)), "-m", "pip", "--disable-pip-version-check", *arguments]
    step(command, "pip could not install it (is the network there?)")


def step(command: list[str], trouble: str) -> None:
    status, output = run(command, shorten)
    if status:
        raise SetupFailed(f"{trouble}\n$ {' '.join(command)}\n{output}")


# pip's own words are many; these are the lines that tell a person where it is.
SHOWN = [
    (re.compile(r"Collecting (\S+)"), "    looking up {}"),
    (re.compile(r"\s*Downloading (\S+/)?(?P<name>[^-\s]+-[^-\s]+)\S* \((?P<size>[^)]*)\)"), "    downloading {name} ({size})"),
    (re.compile(r"\s*(Installing build dependencies|Building wheels?.*|Building editable.*): started"), "    {}"),
    (re.compile(r"Installing collected packages: (.*)"), "    installing {count} package(s)"),
    (re.compile(r"(WARNING: Retrying.*)"), "    {}"),
]


def shorten(line: str) -> str | None:
    for pattern, form in SHOWN:
        match = pattern.match(line)
        if match:
            first = match.group(1) or ""
            return form.format(first, count=first.count(",") + 1, **match.groupdict())
    return None


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[1] not in PURPOSES:
        say(f"usage: setup_venv.py VENV {'|'.join(PURPOSES)}")
        return 2
    os.chdir(ROOT)
    try:
        ensure(ROOT / arguments[0], arguments[1], sys.executable)
    except SetupFailed as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
