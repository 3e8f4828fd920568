"""What a person gets from pip: the package, its marker for type checkers, and none of the rest of the project."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    # Built from a copy, with the setuptools that is installed: setuptools writes into the folder it builds from.
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("simple_websocket", "tests", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    pip = [sys.executable, "-m", "pip", "--quiet"]
    command = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", "wheels", "."]
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = (copy / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_module_is_in_the_wheel(names):
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "simple_websocket").rglob("*.py")}
    assert modules and modules <= names
    assert "simple_websocket/py.typed" in names


def test_nothing_else_is_in_the_wheel(names):
    folders = {name.split("/")[0] for name in names}
    assert folders - {"simple_websocket"} == {folder for folder in folders if folder.endswith(".dist-info")}


def test_the_license_is_in_the_wheel(names):
    assert [name for name in names if name.endswith("LICENSE")]
