# Sunward: `make setup` and `make demo` are all that a newcomer needs; the other targets are for those who build it.
# Everything lies in .venv; nothing here needs root, and nothing after the set-up needs a network.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
PYTEST := $(BIN)/python -m pytest
CORE := engine world placement execution metering verification settlement report signals model
# Only these files are read for them: the others take longer to load than to leave out.
SLOW = $(shell grep -rl --include="test_*.py" "mark\.slow" tests)
# A worker for each core, and who has nothing left takes from the others.
SPREAD := --numprocesses=auto --dist=worksteal
COVERED := $(wildcard tests/unit)
BENCHMARKS := $(sort $(basename $(notdir $(wildcard benchmarks/[a-z]*.py))))
UV := $(BIN)/python -m uv
# The build backend is locked too, so that nothing unlocked is fetched when Sunward itself is installed.
BACKEND := setuptools>=77
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url
# A language named on the command line comes before whatever the shell has set.
LANGUAGE_ASKED := $(if $(filter command,$(origin LANG)),SUNWARD_LANG=$(LANG))

.PHONY: help setup setup-dev demo test e2e unit check bench golden soak fuzz lock locale clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: .venv/.setup ## set up .venv with what Sunward needs to run

setup-dev: .venv/.setup-dev ## set up .venv with what building and testing needs too

.venv/bin/python:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo 'Sunward needs Python 3.11 or newer with its venv module: apt install python3-venv (another Python: make setup PYTHON=python3.12)' >&2; exit 2; }
	@$(PYTHON) -m venv .venv

.venv/.setup: requirements.lock contracts/pyproject.toml | .venv/bin/python
	@echo 'Setting up .venv ...'
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable . --editable contracts
	@touch $@

.venv/.setup-dev: requirements-dev.lock .venv/.setup
	@echo 'Setting up .venv for development ...'
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

demo: setup ## run the demonstration (KEEP=1 keeps it running, SPEED=n sets the pace, LANG=ko the language)
	@$(LANGUAGE_ASKED) $(BIN)/sunward demo $(if $(KEEP),--keep) $(if $(SPEED),--speed $(SPEED))

test: setup-dev ## every test but those with real processes and the long ones; the unit tests cover 90 % of the core packages
	$(PYTEST) $(COVERED) $(SPREAD) -m 'not soak' $(CORE:%=--cov=src/sunward/%) --cov-report=term:skip-covered --cov-fail-under=90
	$(PYTEST) $(SPREAD) -m 'not soak and not slow' $(COVERED:%=--ignore=%)

e2e: setup-dev ## real processes: a first user's hour, the demonstration, every fault of docs/faults.md for two seeds
	$(PYTEST) $(SLOW) -m slow $(SPREAD)

unit: setup-dev ## the unit tests alone
	$(PYTEST) tests/unit -q

check: setup-dev ## style, types, layers, translations and the blocking client
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict --exclude '^src/sunward/demo/jobs/'
	cd src/sunward/demo/jobs && $(CURDIR)/$(BIN)/mypy --strict --config-file= --cache-dir=$(CURDIR)/.mypy_cache/jobs --explicit-package-bases *.py
	$(BIN)/lint-imports
	$(BIN)/python tools/build_sync.py --check
	$(BIN)/python tools/build_contracts.py --check
	$(BIN)/python tools/build_locale.py --check

ifneq ($(filter bench,$(MAKECMDGOALS)),)
ifeq ($(filter $(NAME),$(BENCHMARKS)),)
$(error no benchmark named '$(NAME)'; say make bench NAME=x with one of: $(BENCHMARKS))
endif
endif
bench: setup ## run one benchmark, NAME=x; its last line is one JSON object
	@$(BIN)/python -m benchmarks.$(NAME)

golden: setup-dev ## accept the plans and ledger of the golden scenarios as they are now; review the diff
	UPDATE_GOLDEN=1 $(PYTEST) tests/golden -q

soak: setup-dev ## the long seeded runs: 200 seeds of every fault, simulated and on real processes
	$(PYTEST) -m soak --numprocesses=2

FUZZ_S ?= 600
fuzz: setup-dev ## every parser of bytes from outside, FUZZ_S seconds each (600), two at a time; report in out/fuzz
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_S)

lock: setup-dev ## renew the lock files from pyproject.toml
	@$(UV) --version >/dev/null 2>&1 || { echo 'make lock needs uv: $(BIN)/pip install uv' >&2; exit 2; }
	echo '$(BACKEND)' | $(UV) pip compile $(LOCK) --extra all pyproject.toml - -o requirements.lock
	echo '$(BACKEND)' | $(UV) pip compile $(LOCK) --extra dev -c requirements.lock pyproject.toml - -o requirements-dev.lock

locale: setup-dev ## collect the messages and compile the translations
	$(BIN)/python tools/build_locale.py

clean: ## remove what the other targets made, except .venv
	rm -rf build dist out .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/sunward.egg-info
	find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +
