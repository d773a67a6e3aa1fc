# Everything a person needs: `make train` first, `make test` before a change is handed in.
# Each target makes the environment in .venv by itself, on any machine with Python >= 3.11.

VENV := .venv
BIN := $(VENV)/bin
# The first of these that runs and is new enough (a pyenv shim may exist and yet not run).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
# Small networks: more threads than one only wait for each other, the more so beside pytest-xdist.
export OMP_NUM_THREADS ?= 1
JOBS ?= 2
ROW ?= list
ARGS ?=

.PHONY: help train test check format learn bench bench-peers wheel-test clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found; install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing marl-framework and its tools into $(VENV) (minutes on the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV): $(VENV)/.installed ## make the environment only

train: $(VENV)/.installed ## train tic-tac-toe by self-play, and show how it does against random
	$(BIN)/marl train examples/tictactoe_selfplay.yaml $(ARGS)

test: $(VENV)/.installed ## the tests, in parallel (under ten minutes); ARGS="-k name" for some
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(ARGS)

check: $(VENV)/.installed ## ruff, mypy, import contracts, the public surface
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict marl
	$(BIN)/mypy envs/marl_envs plugins/marl_plugins
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_public_surface.py tests/test_imports.py

format: $(VENV)/.installed ## let ruff mend order and layout
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

learn: $(VENV)/.installed ## one learning row, e.g. make learn ROW=cartpole (ROW=list names them)
	$(BIN)/python -m benchmarks.learn $(ROW) $(ARGS)

bench: $(VENV)/.installed ## the speed table; ARGS="W1 W4" for some rows
	$(BIN)/python -m benchmarks run $(ARGS)

# One environment a peer: RLlib pins a gymnasium that is not ours.
.venv-peers-rllib/.installed: benchmarks/peers/requirements-rllib.txt
	@test -x .venv-peers-rllib/bin/python || $(PYTHON) -m venv .venv-peers-rllib
	@.venv-peers-rllib/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@.venv-peers-rllib/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

.venv-peers-sb3/.installed: benchmarks/peers/requirements-sb3.txt
	@test -x .venv-peers-sb3/bin/python || $(PYTHON) -m venv .venv-peers-sb3
	@.venv-peers-sb3/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-peers: $(VENV)/.installed .venv-peers-rllib/.installed .venv-peers-sb3/.installed ## the same workloads on RLlib and Stable-Baselines3, side by side
	.venv-peers-rllib/bin/python -m pytest -q tests/adapters/test_rllibs_own_classes.py
	.venv-peers-rllib/bin/python -W ignore -m benchmarks.peers.our_adapter_on_rllib
	.venv-peers-rllib/bin/python -W ignore -m benchmarks.peers.rllib_faults
	$(BIN)/python -m benchmarks peers $(ARGS)

wheel-test: $(VENV)/.installed ## build the wheel and use it outside the checkout
	@$(BIN)/python .ci/test_wheel.py

clean: ## remove what the tools made, but no run and no environment
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
