"""Runs seeds: one, to look at, or many, on all cores."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from . import preemption
from .plan import Plan
from .program import Failure, Program

__all__ = ["main", "replay", "sweep"]

KEPT = Path(__file__).with_name("failed_seeds.txt")
BATCH = 100


def replay(seed: int) -> str:
    """The command that runs a seed again."""
    return f"python -m tests.simulation {seed} --trace"


def kept_seeds() -> list[int]:
    """The seeds that ever failed."""
    lines = (line.partition("#")[0].strip() for line in KEPT.read_text(encoding="utf-8").splitlines())
    return [int(line) for line in lines if line]


def sweep(seeds: range | list[int], stop_at_first: bool = False) -> Iterator[tuple[int, str]]:
    """Run seeds; give those that failed, and what did not hold."""
    preemption.install()
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()  # its moments are no part of a seed
    try:
        for number, seed in enumerate(seeds):
            if number % 50 == 49:
                gc.collect(1)
            try:
                Program(Plan.of(seed)).run()
            except Failure as failure:
                yield seed, str(failure)
                if stop_at_first:
                    return
    finally:
        if enabled:
            gc.enable()
        gc.unfreeze()


def _batch(seeds: range) -> tuple[int, list[tuple[int, str]]]:
    return len(seeds), list(sweep(seeds))


def _one(seed: int, trace: bool) -> int:
    preemption.install()
    gc.collect()
    gc.disable()
    program = Program(Plan.of(seed), trace)
    print(program.plan.describe())
    try:
        program.run()
        failure = ""
    except Failure as error:
        failure = str(error)
    for line in program.scheduler.notes or ():
        print(line)
    print(f"{program.scheduler.steps} choices, {program.scheduler.now - 1000:.3f} s")
    print(failure or "all holds")
    return 1 if failure else 0


def _many(first: int, count: int, limit: float, jobs: int) -> int:
    started = last = time.monotonic()
    batches = [range(at, min(at + BATCH, first + count)) for at in range(first, first + count, BATCH)]
    done, failed = 0, []
    print(f"{count} seeds from {first}, {jobs} processes, at most {limit / 60:.0f} minutes", flush=True)
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for size, failures in pool.imap_unordered(_batch, batches):
            done += size
            failed += failures
            for seed, what in failures:
                print(f"seed {seed} failed: {what.splitlines()[0]}\n    {replay(seed)}", flush=True)
            now = time.monotonic()
            if now - last > 5:
                last = now
                rate = done / (now - started)
                print(f"{now - started:5.0f} s  {done} seeds, {rate:.0f} per second, {len(failed)} failed", flush=True)
            if now - started > limit and done < count:
                print(f"stopped after {limit:.0f} s: {count - done} seeds were not run")
                return 1
    seconds = time.monotonic() - started
    print(f"{done} seeds in {seconds:.0f} s, {done / seconds:.0f} per second; {len(failed)} failed")
    return 1 if failed or done < count else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Run simulated programs.")
    parser.add_argument("seed", nargs="?", type=int, help="run this one, and say what it was")
    parser.add_argument("--trace", action="store_true", help="with everything that happened")
    parser.add_argument("--seeds", type=int, metavar="N", help="run so many")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (0)")
    parser.add_argument("--limit", type=float, default=3600, metavar="SECONDS", help="give up after so long (3600)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (one for each core)")
    options = parser.parse_args()
    if (options.seed is None) == (options.seeds is None):
        parser.error("one seed, or --seeds N")
    if options.seed is not None:
        return _one(options.seed, options.trace)
    try:
        return _many(options.first, options.seeds, options.limit, options.jobs)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
