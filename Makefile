# Everything a person does with this project. Each target sets up what it needs, given a
# Python >= 3.10 and make; what was set up before is used again until pyproject.toml or
# setup.cfg change. Another Python: make PYTHON=python3.12 test (after `make clean`).

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
# What decides that a venv is out of date.
RECIPE := pyproject.toml setup.cfg scripts/setup_venv.py
# Options for the test runner: make test ARGS="--quick -k compression"
ARGS   ?=
# Options for the soak: make soak SOAK="--backends gevent --parts cycles"
SOAK   ?=

# A venv whose Python went away (upgraded, removed) holds nothing that can be used.
ifneq ($(wildcard $(STAMPS)),)
  $(shell test -x $(PY) || rm -rf $(STAMPS))
endif

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench bench-full soak conformance fuzz simulate docs clean
# Two pips must not work on one venv at the same time.
.NOTPARALLEL:

help:
	@echo "make demo    start each supported web server, connect the client, print what it measured"
	@echo "make test    lint, then every test suite; ARGS=\"--quick\" or \"--only NAME\" or \"-k EXPR\" for less"
	@echo "make lint    ruff and mypy --strict"
	@echo "make bench   the benchmarks, in a few minutes; make bench-full: every case, and the plots"
	@echo "make soak    attacks, leaks and mixed traffic, for half an hour; SOAK=\"--cycles 500 --seconds 60\" for less"
	@echo "make conformance   the Autobahn suite, hours of it; ARGS=\"--quick\" or \"--only MODE\" for less"
	@echo "make fuzz    the protocol core under random and mutated bytes; FUZZ_SECONDS=60 for each target"
	@echo "make simulate   100 000 random programs on a simulated machine and network; ARGS=\"--seeds N\" for less"
	@echo "make docs    the documentation, into build/docs"
	@echo "make clean   remove everything the targets above made, the .venv included"
	@echo
	@echo "Each target installs what it needs into $(VENV) first. They use $(PYTHON); for another"
	@echo "Python (3.10 or newer): make PYTHON=python3.12 test"

# $(STAMPS)/NAME says that the venv holds what NAME needs; scripts/setup_venv.py writes it.
$(STAMPS)/%: $(RECIPE)
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "There is no '$(PYTHON)' on this machine. Install Python 3.10 or newer, or name it:"; \
	  echo "  make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) scripts/check_python.py
	@$(PYTHON) scripts/setup_venv.py $(VENV) $*

demo: $(STAMPS)/demo
	@$(PY) -m demo

test: lint
	@$(PY) scripts/run_tests.py $(ARGS)

lint: $(STAMPS)/test
	@$(PY) scripts/progress.py "ruff check" $(PY) -m ruff check .
	@$(PY) scripts/progress.py "mypy --strict simple_websocket" $(PY) -m mypy --strict simple_websocket

bench: $(STAMPS)/bench
	@$(PY) -m benchmarks $(ARGS)

bench-full: $(STAMPS)/bench
	@$(PY) -m benchmarks --full --plots $(ARGS)

# Needs a CPython 2.7 (PYTHON27=/path/to/python2.7 if it is not on PATH) or a container engine.
conformance: $(STAMPS)/conformance
	@$(PY) -m conformance $(ARGS)

# In .venv-fuzz, made with a Python that atheris has wheels for.
fuzz:
	@$(PYTHON) scripts/check_python.py
	@FUZZ_SECONDS="$(FUZZ_SECONDS)" $(PYTHON) scripts/fuzz.py $(ARGS)

# Some ten minutes on two idle cores; given up, with an error, after SIMULATE_SECONDS.
SIMULATE_SECONDS ?= 3600
simulate: $(STAMPS)/test
	@$(PY) -m tests.simulation --seeds 100000 --limit $(SIMULATE_SECONDS) $(ARGS)

soak: $(STAMPS)/test
	@$(PY) -m soak $(SOAK)

docs: $(STAMPS)/docs
	@$(PY) scripts/progress.py "sphinx-build into build/docs" \
	  $(PY) -m sphinx -W --keep-going -b html docs build/docs
	@echo "open build/docs/index.html"

clean:
	rm -rf .venv .venv-3.* .venv-autobahn .venv-fuzz build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
