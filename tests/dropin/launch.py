"""Runs one web server with tests.dropin.app: `python -m tests.dropin.launch ASYNC_MODE ...`, and as for tests.servers.launch.

How each server is started is written there; its source is run here as a module of this package, so that the application it
names is this package's.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import tests.servers

SOURCE = Path(tests.servers.__file__).with_name("launch.py")


def starters():
    spec = importlib.util.spec_from_file_location(f"{__package__}.starters", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.APP = f"{__package__}.app"
    return module.KINDS


if __name__ == "__main__":
    os.environ["ASYNC_MODE"], kind, port, limit, certificate, key, *options = sys.argv[1:]
    signal.alarm(int(limit))
    starters()[kind](int(port), (certificate, key) if certificate else None, options)
