"""One target in one process: `python -m fuzzing.worker TARGET ENGINE SECONDS CORPUS FINDINGS`; see ``__main__.py``.

The last line is "EXECUTIONS n".  An input that breaks something, hangs or takes too much memory is left in FINDINGS, and the
exit status is not 0.
"""

from __future__ import annotations

import faulthandler
import hashlib
import os
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

HANG = 20  # seconds that one input may take
MEMORY = 768  # MiB that the process may have
LONGEST = 4096  # bytes of an input
STATUS = 77  # exit status with a finding, the same as libFuzzer's


def under_atheris(target: str, seconds: int, corpus: Path, findings: Path) -> None:
    """Coverage-guided; libFuzzer prints the executions itself, and ends the process."""
    import atheris

    with atheris.instrument_imports(include=["simple_websocket"]):
        import simple_websocket.protocol.connection
        import simple_websocket.protocol.handshake  # noqa: F401
    from .targets import TARGETS

    call = TARGETS[target]

    def one(data: bytes) -> None:
        call(bytes(data))

    options = {
        "max_total_time": seconds,
        "timeout": HANG,
        "rss_limit_mb": MEMORY,
        "max_len": LONGEST,
        "artifact_prefix": f"{findings}/",
        "print_final_stats": 1,
        "reload": 0,
    }
    atheris.Setup([sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), str(corpus)], one)
    atheris.Fuzz()


def under_mutation(target: str, seconds: int, corpus: Path, findings: Path) -> int:
    from .mutation import fuzz
    from .targets import TARGETS

    current, started = [b""], [time.monotonic()]

    def keep(kind: str) -> None:
        name = f"{kind}-{hashlib.sha1(current[0]).hexdigest()}"
        (findings / name).write_bytes(current[0])
        print(f"finding: {findings / name}", flush=True)

    def watch(data: bytes) -> None:
        current[0], started[0] = data, time.monotonic()

    def guard() -> None:
        while True:
            time.sleep(1)
            hangs = time.monotonic() - started[0] > HANG
            if hangs or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MEMORY * 1024:
                keep("timeout" if hangs else "oom")
                faulthandler.dump_traceback()
                os._exit(STATUS)

    threading.Thread(target=guard, daemon=True).start()
    seeds = [path.read_bytes() for path in sorted(corpus.iterdir())]
    seed = int.from_bytes(os.urandom(4), "big")
    try:
        number = fuzz(TARGETS[target], seeds, seconds, seed, watch)
    except Exception:
        traceback.print_exc()
        keep("crash")
        return STATUS
    print(f"EXECUTIONS {number}")
    return 0


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    target, engine, seconds, corpus, findings = arguments
    if engine == "atheris":
        under_atheris(target, int(seconds), Path(corpus), Path(findings))
        return 0
    return under_mutation(target, int(seconds), Path(corpus), Path(findings))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
