"""Run a command that may take a while and say so: its lines as they come, and a sign of life in between.

Used by the other scripts, and from the Makefile as `progress.py LABEL COMMAND...`.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

SILENCE = 4.0  # seconds without a line after which a person starts to wonder


def say(line: str) -> None:
    print(line, flush=True)


def run(command: Sequence[str], rewrite: Callable[[str], str | None] = lambda line: line) -> tuple[int, str]:
    """Run it; its status and whole output. `rewrite` turns a line into what is shown of it, None to hide it."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace"
    )
    assert process.stdout is not None
    stream = process.stdout
    lines: queue.Queue[str | None] = queue.Queue()

    def pump() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=pump, daemon=True).start()
    output: list[str] = []
    started = time.monotonic()
    try:
        while True:
            try:
                line = lines.get(timeout=SILENCE)
            except queue.Empty:
                say(f"    ... still at it ({time.monotonic() - started:.0f} s)")
                continue
            if line is None:
                break
            output.append(line)
            shown = rewrite(line.rstrip())
            if shown is not None:
                say(shown)
        return process.wait(), "".join(output)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        stream.close()


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        say("usage: progress.py LABEL COMMAND...")
        return 2
    label, *command = arguments
    say(f"==> {label}")
    try:
        return run(command)[0]
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
