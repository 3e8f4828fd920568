"""Start each web server with the echo example, talk to it with the client, print what was measured, and end.

    python -m demo [--seconds 2]

The exit status is 0 if every server started and echoed everything as it was sent, 1 otherwise, 2 if a package is missing.
"""

from __future__ import annotations

import argparse
import signal
import sys

from .servers import SERVERS, missing_packages


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description="The echo example under five web servers.")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to measure each server (2)")
    options = parser.parse_args()
    missing = missing_packages(SERVERS)
    if missing:
        print(f"The demo needs {', '.join(missing)}, which this Python ({sys.executable}) does not have.")
        print('`make demo` installs all it needs into .venv; or: pip install -e ".[demo]"')
        return 2
    # Only now, because it imports what may have been missing.
    from .run import run

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)  # whoever stops the demo gets the servers stopped too
    try:
        return run(options.seconds)
    except KeyboardInterrupt:
        print("\nInterrupted; the servers are stopped.")
        return 130


def _stop(number: int, frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
