"""The process that one subject runs in: ``python -m benchmarks.subject NAME``.

Its first line says which port it listens on.  Each line that it reads is a question, and each answer is the CPU time that the
process has used so far.  It ends with its standard input, whatever became of the run.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from .subjects import SUBJECTS

__all__ = ["main"]


def main(name: str) -> None:
    """Be the subject with this name."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not disturb the answers

    def answer(**facts: float) -> None:
        print(json.dumps(facts), file=answers, flush=True)

    def listening(port: int) -> None:
        # A native thread also beside greenlets: parked in the kernel it costs the subject nothing.
        threading.Thread(target=tell, daemon=True).start()
        answer(port=port)

    def tell() -> None:
        while os.read(0, 4096):
            answer(cpu=time.process_time())
        os._exit(0)

    SUBJECTS[name].serve(listening)


if __name__ == "__main__":
    main(sys.argv[1])
