"""Can this Python run the project? If not, say what to do; written so that even Python 2 can read it."""
import sys

OLDEST = (3, 10)

found = "%d.%d (%s)" % (sys.version_info[0], sys.version_info[1], sys.executable)  # noqa: UP031
if sys.version_info[:2] < OLDEST:
    sys.exit(
        "This project needs Python %d.%d or newer, and this is Python %s.\n"  # noqa: UP031
        "Install a newer one, or name one you have:  make PYTHON=python3.12 ..." % (OLDEST + (found,))
    )
try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit(
        "Python %s comes without the venv module, which is needed to set the project up.\n"  # noqa: UP031
        "On Debian and Ubuntu:  apt install python%d.%d-venv\n"
        "Or name another Python:  make PYTHON=python3.12 ..." % (found, sys.version_info[0], sys.version_info[1])
    )
