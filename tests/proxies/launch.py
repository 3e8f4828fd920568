"""Starts what the tests of the proxies need, as a process that ends when the tests do not end it.

`python -m tests.proxies.launch program PATH [ARGUMENT ...]` is nginx or HAProxy;
`python -m tests.proxies.launch gunicorn SECONDS [ARGUMENT ...]` is gunicorn with tests.proxies.app.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def program(path, *arguments):
    """Become this program, which gets SIGTERM when whoever started it dies: an alarm, nginx would not mind."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit("who started this is gone")
    os.execv(path, [path, *arguments])


def gunicorn(limit, *arguments):
    from gunicorn.app.wsgiapp import run
    from gunicorn.config import KNOWN_SETTINGS

    signal.alarm(int(limit))
    # It would be shared with every other gunicorn of this machine.
    alone = [flag for setting in KNOWN_SETTINGS for flag in setting.cli or () if flag == "--no-control-socket"]
    sys.argv = ["gunicorn", *arguments, *alone, "tests.proxies.app:app"]
    run()


if __name__ == "__main__":
    {"program": program, "gunicorn": gunicorn}[sys.argv[1]](*sys.argv[2:])
