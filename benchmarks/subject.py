"""The process that one subject runs in: ``python -m benchmarks.subject ORDERS``, or that a client runs in.

Its first line says which port it listens on.  A line that it reads is a question after the Python objects that it is full of;
its CPU and memory are read from outside.  It ends with its standard input, whatever became of the run.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import threading

from .orders import Orders, Setup, listen
from .subjects import SUBJECTS

__all__ = ["main"]

_COUNTED = ("greenlet", "Task")


def main(text: str) -> None:
    """Be the subject that the orders name."""
    orders = Orders.load(text)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not disturb the answers
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = listen()
    port = listener.getsockname()[1]

    def answer(**facts: object) -> None:
        print(json.dumps(facts), file=answers, flush=True)

    def ready() -> None:
        answer(port=port)

    def tell() -> None:
        while os.read(0, 4096):
            answer(**census())
        os.killpg(0, signal.SIGKILL)  # a web server's workers too

    # A native thread also beside greenlets: parked in the kernel it costs the subject nothing.
    threading.Thread(target=tell, daemon=True).start()
    if orders.tree:
        sys.path.insert(0, orders.tree)
    SUBJECTS[orders.name].serve(Setup(listener, orders, ready))


def census() -> dict[str, int]:
    """Count the greenlets and tasks that there are."""
    counts = dict.fromkeys(_COUNTED, 0)
    for thing in gc.get_objects():
        for kind in type(thing).__mro__:
            if kind.__name__ in counts and kind.__module__ in ("greenlet", "_asyncio", "asyncio.tasks"):
                counts[kind.__name__] += 1
                break
    return counts


if __name__ == "__main__":
    main(sys.argv[1])
