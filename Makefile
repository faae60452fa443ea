# Everything starts from here; `make` alone lists what there is. Needs Python 3.11 or newer, make and bash.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.installed
NEEDS := pyproject.toml constraints.txt

# File by file on three processes, in their order: the longest files come first, so that none is left alone at the end.
PYTEST := $(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

# Runs a command while it holds the lock of the folder, so that two installs wait for each other.
LOCKED := $(PYTHON) -c 'import fcntl, subprocess, sys; lock = open(sys.argv[1], "w"); fcntl.flock(lock, fcntl.LOCK_EX); \
	sys.exit(subprocess.call(sys.argv[2:]))' $(VENV)/.lock

.PHONY: help run test test-all check bench blast chaos clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: $(RUNTIME) ## start the whole system here: Redis, workers, beat, Flower (ARGS="--help" for its options)
	@exec $(BIN)/celery -A tasks trading up $(ARGS)

test: $(DEVELOPMENT) ## run all tests (ARGS="tests/unit -x" to choose)
	@$(PYTEST) $(ARGS)

test-all: $(DEVELOPMENT) ## run the long tests too
	@$(PYTEST) -m '' $(ARGS)

check: $(DEVELOPMENT) ## lint, format, types, imports and unit tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy tests benchmarks
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/unit

bench: $(DEVELOPMENT) ## measure a live chain beside Celery's own, and a replay beside backtesting.py (ARGS="--write" for the docs)
	@$(BIN)/python -m benchmarks $(ARGS)
	@$(BIN)/python -m benchmarks.replay_speed $(filter --json --write --help,$(ARGS))

blast: $(DEVELOPMENT) ## harm one symbol in all ways and time the others, about ten minutes (ARGS="--help" for its options)
	@$(BIN)/python -m benchmarks.blast $(ARGS)

chaos: $(DEVELOPMENT) ## kill processes at every named place and compare all books, about an hour (ARGS="--help" for its options)
	@$(BIN)/python -m tests.chaos --kills 1100 --write $(ARGS)

clean: ## remove the virtual environment, caches and builds; var/ holds the ledger and stays
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last, so an install that was interrupted begins again; a process that waited for the lock checks the stamp again.
# A working environment is kept: one Python on top of another's breaks both. `make run` installs no development tools.
ifdef HOLDS_LOCK
$(RUNTIME): EXTRAS := embedded
$(DEVELOPMENT): EXTRAS := embedded,dev
$(RUNTIME) $(DEVELOPMENT): $(NEEDS)
	@rm -f $@
	@echo "Installing into $(VENV), once; this takes a minute or two:"
	@$(BIN)/python -c 'import pip, ssl' 2>/dev/null || { \
		rm -rf $(BIN) $(VENV)/lib $(VENV)/lib64 $(VENV)/include $(VENV)/pyvenv.cfg; $(PYTHON) -m venv $(VENV); }
	@PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]' \
		| awk '/^Collecting /{sub(/[^A-Za-z0-9._-].*/, "", $$2); printf "%s ", $$2; fflush()} END{print ""}'
	@touch $(RUNTIME) $@
	@echo "Installed."
else
$(RUNTIME) $(DEVELOPMENT): $(NEEDS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "$(PYTHON) is not Python 3.11 or newer; use another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@mkdir -p $(VENV)
	@$(LOCKED) $(MAKE) --no-print-directory HOLDS_LOCK=yes $@
endif
