"""What is tested here: the other projects' packages as the registry has them, with this project in the place they have for it."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import simple_websocket
from demo.process import ROOT

OTHERS = ["flask-sock", "flask-socketio", "python-engineio", "python-socketio"]


def test_they_import_this_project() -> None:
    assert Path(simple_websocket.__file__) == ROOT / "simple_websocket" / "__init__.py"
    assert importlib.import_module("flask_sock").Server is simple_websocket.Server
    assert importlib.import_module("flask_sock").ConnectionClosed is simple_websocket.ConnectionClosed
    assert importlib.import_module("engineio.async_drivers._websocket_wsgi").simple_websocket is simple_websocket


@pytest.mark.parametrize("name", ["flask-sock", "python-engineio"])
def test_their_requirement_is_met(name: str) -> None:
    [required] = [r for r in map(Requirement, metadata.requires(name) or []) if r.name == "simple-websocket"]
    # As pip does for what is installed.
    assert required.specifier.contains(simple_websocket.__version__, prereleases=True)
    assert metadata.version("simple-websocket") == simple_websocket.__version__


def test_pip_leaves_this_project_in_its_place() -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--no-index", "--quiet"]
    ran = subprocess.run([*command, "--report", "-", *OTHERS], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=30)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["install"] == []


@pytest.mark.parametrize("name", OTHERS)
def test_they_are_unmodified(name: str) -> None:
    """Every file has the digest that the wheel gives for it."""
    distribution = metadata.distribution(name)
    assert distribution.read_text("direct_url.json") is None, "it does not come from the registry"
    modules = [file for file in distribution.files or [] if file.suffix == ".py"]
    assert modules
    for file in modules:
        assert file.hash is not None and file.hash.mode == "sha256", file
        digest = hashlib.sha256(Path(file.locate()).read_bytes()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value, f"{file} was changed"
