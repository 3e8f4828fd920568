"""Make programs from Debian packages available to the tests: `debian_packages.py VENV PROGRAM...` (nginx, haproxy).

What the machine has is used as it is. What it lacks is downloaded with apt-get, for the release that is installed, and
unpacked into VENV/debian: that takes no root, starts no service, and `make clean` removes it. Either way the tests find
VENV/debian/bin/PROGRAM. A program has the name of its package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from progress import run, say

ROOT = Path(__file__).resolve().parent.parent

# Where a system keeps servers; a person's PATH often lacks them.
SERVER_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/bin")

ATTEMPTS = 3
PAUSE = 3.0  # seconds between two attempts, for a network that is not there at the moment

WRAPPER = """#!/bin/sh
LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
export LD_LIBRARY_PATH
exec "{program}" "$@"
"""


class NotAvailable(Exception):
    """The programs could not be had; the message says what was tried and what came out."""


def ensure(venv: Path, programs: list[str]) -> None:
    """Put what is missing into VENV/debian/bin, showing what happens. NotAvailable if it cannot be done."""
    folder = venv / "debian"
    missing = [name for name in programs if not works(folder / "bin" / name)]
    for name in list(missing):
        if installed := on_this_machine(name):
            (folder / "bin").mkdir(parents=True, exist_ok=True)
            link = folder / "bin" / name
            link.unlink(missing_ok=True)
            link.symlink_to(installed)
            missing.remove(name)
    if missing:
        say(f"==> {venv.name}: {' and '.join(missing)} from Debian packages")
        unpack(folder, missing)


def on_this_machine(name: str) -> Path | None:
    """Where the program is installed, if it runs."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SERVER_FOLDERS]))
    return Path(found) if found and works(Path(found)) else None


def works(program: Path) -> bool:
    """Whether it starts. Both know -v; libraries that went away with an upgrade show here."""
    try:
        return subprocess.run([program, "-v"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def unpack(folder: Path, names: list[str]) -> None:
    lacking = [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]
    if lacking:
        raise NotAvailable(
            f"there is no {' and no '.join(lacking)} here to download packages with; "
            f"install {' and '.join(names)} with the package manager of this machine"
        )
    for number in range(1, ATTEMPTS + 1):
        try:
            archives = download(folder, names)
            break
        except NotAvailable as error:
            if number == ATTEMPTS:
                raise
            say(f"    {str(error).splitlines()[0]}; once more in {PAUSE:g} s")
            time.sleep(PAUSE)
    root = folder / "root"
    for archive in archives:
        step(["dpkg-deb", "--extract", str(archive), str(root)], f"{archive.name} could not be unpacked")
    libraries = {path.parent for path in root.glob("**/lib/**/*.so*")}
    (folder / "bin").mkdir(exist_ok=True)
    for name in names:
        program = next((path for place in ("usr/sbin", "usr/bin", "sbin") if (path := root / place / name).exists()), None)
        if program is None:
            raise NotAvailable(f"the package {name} of this Debian has no program {name}")
        wrapper = folder / "bin" / name
        wrapper.unlink(missing_ok=True)
        wrapper.write_text(WRAPPER.format(libraries=":".join(sorted(map(str, libraries))), program=program))
        wrapper.chmod(0o755)
        if not works(wrapper):
            tried = subprocess.run([wrapper, "-v"], capture_output=True, text=True)
            raise NotAvailable(f"{name} was unpacked and does not run\n$ {wrapper} -v\n{tried.stdout}{tried.stderr}")
    shutil.rmtree(folder / "apt")


def download(folder: Path, names: list[str]) -> list[Path]:
    """The packages, and those they need that this machine has not installed.

    apt-get works in a state of its own, and so needs no root: the package lists of this machine may be missing, or too old
    for what the mirrors still have. Only what is installed here comes from the machine's state.
    """
    apt = folder.resolve() / "apt"
    shutil.rmtree(apt, ignore_errors=True)
    (apt / "lists" / "partial").mkdir(parents=True)
    archives = apt / "archives"
    (archives / "partial").mkdir(parents=True)
    settings = {
        "Dir::State": apt,
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": apt,
        "Dir::Cache::archives": archives,
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "0",
        "Acquire::Retries": "3",
        "Acquire::http::Timeout": "20",
    }
    apt_get = ["apt-get", "--quiet", "--assume-yes"]
    for key, value in settings.items():
        apt_get += ["--option", f"{key}={value}"]
    # When a mirror does not answer this only warns; then it is the next step that finds nothing.
    step([*apt_get, "update"], "the package lists could not be had (is the network there?)")
    step([*apt_get, "--download-only", "install", *names], "the packages could not be downloaded (is the network there?)")
    found = sorted(archives.glob("*.deb"))
    if not found:
        packages = " ".join(names)  # installed, says dpkg, and yet they do not run
        raise NotAvailable(f"apt-get has nothing to download for {packages}; run: apt-get install --reinstall {packages}")
    return found


def step(command: list[str], trouble: str) -> None:
    status, output = run(command, lambda line: f"    {line}" if line.startswith(("Get:", "W:", "E:", "Err:")) else None)
    if status:
        raise NotAvailable(f"{trouble}\n$ {' '.join(command)}\n{output}")


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        say("usage: debian_packages.py VENV PROGRAM...")
        return 2
    try:
        ensure(ROOT / arguments[0], arguments[1:])
    except NotAvailable as error:
        say(f"!!! {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
