"""`python -m tests.simulation SEED [--trace]` runs one seed; `--seeds N` runs many, on all cores, as `make simulate` does."""

import sys

from .runner import main

if __name__ == "__main__":
    sys.exit(main())
