"""The Autobahn test suite: where it comes from, and the commands that run it.

The suite is a Python 2.7 program.  Either this machine has a CPython 2.7, and the suite is installed into an environment of its
own, .venv-autobahn; or it has a container engine, and the suite's own image is used.  Nothing else of the project needs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "scripts"))

from progress import say  # noqa: E402
from setup_venv import SetupFailed, step  # noqa: E402

__all__ = ["ContainerSuite", "NotFound", "PythonSuite", "Suite", "find_suite", "say"]

RELEASE = "25.10.1"
REQUIREMENT = f"autobahntestsuite=={RELEASE}"
# The virtualenv releases from 20.22 on make no environments for Python 2.7; `make conformance` installs one that does.
VIRTUALENV = "virtualenv<20.22"
CONSTRAINTS = Path(__file__).resolve().parent / "constraints.txt"
VENV = ROOT / ".venv-autobahn"

IMAGE = "docker.io/crossbario/autobahn-testsuite"
ENGINES = ("docker", "podman")

NOTHING_FOUND = f"""\
The Autobahn test suite runs on Python 2.7 only, and neither that nor a container engine was found:
{{tried}}
Install one of these, and run it again:
  * CPython 2.7, for example with pyenv:  pyenv install 2.7.18
    It is looked for as python2.7 and python2 on PATH, in ~/.pyenv/versions, and where PYTHON27 says:
    make conformance PYTHON27=/path/to/python2.7
  * Docker or Podman, running; the image {IMAGE} is then used."""

# The suite listens on every address of the machine by itself; these tests use the loopback interface alone.
LAUNCH = """
from autobahntestsuite import wstest
from twisted.internet import reactor

def listen(port, factory, backlog=50, interface=""):
    return listen_anywhere(port, factory, backlog, "127.0.0.1")

listen_anywhere, reactor.listenTCP = reactor.listenTCP, listen
wstest.run()
"""


class NotFound(Exception):
    """There is nothing to run the suite with; the message says what to install."""


class Suite(ABC):
    """How to run the suite's two programs.  `spec` is a file in the folder in which the program runs."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What it runs on, for people."""

    @abstractmethod
    def fuzzing_client(self, name: str, folder: Path, spec: str) -> list[str]:
        """Return the command that tests a server on this machine's loopback interface.

        :param name: no other command running at the same time has it.
        """

    @abstractmethod
    def fuzzing_server(self, name: str, folder: Path, spec: str, port: int) -> list[str]:
        """Return the command that tests the client that connects to 127.0.0.1 at that port."""

    def kill(self, name: str) -> None:
        """End what killing the command's processes does not end."""
        return None


class PythonSuite(Suite):
    """The suite in an environment of CPython 2.7.

    :param python: the environment's Python.
    :param version: its version.
    """

    def __init__(self, python: Path, version: str) -> None:
        self._python = python
        self._version = version

    @property
    def label(self) -> str:
        return f"autobahntestsuite {RELEASE} on CPython {self._version}"

    def fuzzing_client(self, name: str, folder: Path, spec: str) -> list[str]:
        return self._command("fuzzingclient", spec)

    def fuzzing_server(self, name: str, folder: Path, spec: str, port: int) -> list[str]:
        return self._command("fuzzingserver", spec)

    def _command(self, mode: str, spec: str) -> list[str]:
        return [str(self._python), "-u", "-W", "ignore", "-c", LAUNCH, "--mode", mode, "--spec", spec, "--webport", "0"]


class ContainerSuite(Suite):
    """The suite's own image.

    :param engine: docker or podman.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine

    @property
    def label(self) -> str:
        return f"{IMAGE} in {Path(self._engine).name}"

    def fuzzing_client(self, name: str, folder: Path, spec: str) -> list[str]:
        return self._command(name, folder, ["--network", "host"], "fuzzingclient", spec)

    def fuzzing_server(self, name: str, folder: Path, spec: str, port: int) -> list[str]:
        return self._command(name, folder, ["--publish", f"127.0.0.1:{port}:{port}"], "fuzzingserver", spec)

    def kill(self, name: str) -> None:
        try:
            subprocess.run([self._engine, "kill", name], capture_output=True, timeout=30)
        except subprocess.TimeoutExpired:
            say(f"{self._engine} does not answer; look whether the container {name} still runs")

    def _command(self, name: str, folder: Path, network: list[str], mode: str, spec: str) -> list[str]:
        # The reports shall belong to who runs this; in rootless podman that is who root is inside.
        user = [] if Path(self._engine).name == "podman" else ["--user", f"{os.getuid()}:{os.getgid()}"]
        inside = ["wstest", "--mode", mode, "--spec", spec, "--webport", "0"]
        mount = ["--volume", f"{folder}:/run-here:Z", "--workdir", "/run-here", "--env", "PYTHONUNBUFFERED=1"]
        return [self._engine, "run", "--rm", "--init", "--name", name, *user, *network, *mount, IMAGE, *inside]


def find_suite() -> Suite:
    """Return something to run the suite with, made ready; says what happens.

    :raises NotFound: there is neither a usable Python 2.7 nor a usable container engine.
    """
    tried = []
    for python in candidates():
        version, trouble = ask(python)
        if not version:
            tried.append(f"  {python}: {trouble}")
            continue
        try:
            return PythonSuite(_ensure(python), version)
        except SetupFailed as error:
            say(str(error))
            tried.append(f"  {python}: the suite could not be installed, as said above")
            break
    if not tried:
        tried.append("  no python2.7 or python2 on PATH, none in pyenv")
    for name in ENGINES:
        engine = shutil.which(name)
        if engine is None:
            tried.append(f"  no {name} on PATH")
        elif trouble := _pull(engine):
            tried.append(f"  {engine}: {trouble}")
        else:
            return ContainerSuite(engine)
    raise NotFound(NOTHING_FOUND.format(tried="\n".join(tried)))


def candidates() -> list[str]:
    """Files that may be a Python 2.7, the one that was named first."""
    found = [os.environ.get("PYTHON27") or "", shutil.which("python2.7") or "", shutil.which("python2") or ""]
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    # The newest first, for there may be several.
    folders = sorted(versions.glob("2.7*"), key=lambda path: [int(part) for part in path.name.split(".") if part.isdigit()])
    found += [str(path) for folder in reversed(folders) if (path := folder / "bin" / "python2.7").exists()]
    return list(dict.fromkeys(filter(None, found)))


def ask(python: str) -> tuple[str, str]:
    """Return its version, asked of itself, for a name may be a shim that leads nowhere; or "" and why it is of no use."""
    # Without ssl, pip installs nothing; without zlib there is no compression to test.
    question = "import platform as p, ssl, sys, zlib; sys.stdout.write(p.python_implementation() + ' ' + p.python_version())"
    try:
        answer = subprocess.run([python, "-c", question], capture_output=True, text=True, errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"does not run ({error})"
    name, _, version = answer.stdout.partition(" ")
    if answer.returncode or not version:
        return "", "does not run: " + (answer.stderr.strip().splitlines() or ["no output"])[-1]
    if name != "CPython" or not version.startswith("2.7."):
        return "", f"is {answer.stdout}"
    return version, ""


def _ensure(base: str) -> Path:
    """Make the environment with the suite, unless it is there already; return its Python.

    :raises SetupFailed: it cannot be made.
    """
    python, stamp = VENV / "bin" / "python", VENV / "ready"
    recipe = f"{REQUIREMENT}\n{CONSTRAINTS.read_text()}"
    if stamp.exists() and stamp.read_text() == recipe and ask(str(python))[0]:
        return python
    if subprocess.run([sys.executable, "-m", "virtualenv", "--version"], capture_output=True).returncode:
        raise SetupFailed(f"virtualenv is missing; `make conformance` has it, or: {sys.executable} -m pip install '{VIRTUALENV}'")
    say(f"==> {VENV.name}: an environment of {base} for the Autobahn test suite")
    trouble = f"no environment of Python 2.7 could be made (that takes {VIRTUALENV})"
    step([sys.executable, "-m", "virtualenv", "--clear", "--python", base, str(VENV)], trouble)
    say(f"==> {VENV.name}: installing {REQUIREMENT}")
    pip = [str(python), "-W", "ignore", "-m", "pip", "--disable-pip-version-check"]
    step([*pip, "install", "--constraint", str(CONSTRAINTS), REQUIREMENT], "pip could not install it (network? a C compiler?)")
    stamp.write_text(recipe)
    return python


def _pull(engine: str) -> str:
    """Have the image ready; return why it cannot be, "" if it is."""
    try:
        asked = subprocess.run([engine, "info"], capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not answer ({error})"
    if asked.returncode:
        return "is not running: " + ((asked.stderr.strip() or asked.stdout.strip()).splitlines() or ["no output"])[-1]
    if subprocess.run([engine, "image", "inspect", IMAGE], capture_output=True, timeout=60).returncode == 0:
        return ""
    say(f"==> pulling {IMAGE}")
    try:
        step([engine, "pull", IMAGE], "the image could not be had (is the network there?)")
    except SetupFailed as error:
        return str(error)
    return ""
