# `make demo` and `make test` need Python 3.11 or newer with venv, make, and the package registries. The rest is fetched or built:
# Python packages into .venv, Kubernetes and the authorization server into the user's cache.

PYTHON ?= python3
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --no-emit-index-url --no-emit-find-links

# A stamp bears the checksum of what it was made from, so a repeated run does nothing and a changed file is noticed.
checksum = $(shell cat $(1) | cksum | tr -d ' ')
INSTALLED := .venv/installed-$(call checksum,requirements.lock tests/parts/pinned/uv.txt)
LINKED := .venv/linked-$(call checksum,pyproject.toml)

export PYTHONPATH := tests

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup parts demo check test test-fast bench chaos lock clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: setup parts ## Watch a consent become a token that stays fresh (AUTO=1: no browser; ONCE=1: end after one refresh)
	@$(BIN)/python -m demo

test: check ## All tests, those on the real Kubernetes and the real authorization server included
	@$(BIN)/python -m parts.prepare --browser
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-fast: setup ## The inner loop, in seconds: the tests that need no cluster, no browser and no sockets
	@BRIEF=1 $(BIN)/pytest -q -n 2 -m "not cluster and not browser" $(addprefix tests/,bench chaos contracts core demo parts stories)

bench: setup ## What the controller costs, each figure beside an anchor of the same run (LONG=1: longer windows, everything due at once)
	@$(BIN)/python -m bench

chaos: setup ## Three replicas killed, stopped and cut off at random, judged by the server's ledger (LONG=1: 1,000 kills; SEED=x)
	@$(BIN)/python -m chaos

check: setup ## Lint, formatting, types and import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy operator tests
	@$(BIN)/lint-imports --no-logo

setup: $(INSTALLED) $(LINKED) ## Install everything into .venv

parts: setup
	@$(BIN)/python -m parts.prepare

$(INSTALLED):
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON); install Python 3.11 or newer, or say where it is: make demo PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) tests/parts/check_prerequisites.py
	@echo "  installing Python packages into .venv …"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip --quiet --disable-pip-version-check install --require-hashes --requirement tests/parts/pinned/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	@touch $@

$(LINKED): $(INSTALLED)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

lock: setup ## Pin again what pyproject.toml and tests/parts/pinned ask for, with hashes
	@$(COMPILE) --extra operator --group dev pyproject.toml --output-file requirements.lock
	@for tool in tests/parts/pinned/*.txt; do \
		grep -o '^[^ ]*==[^ ]*' $$tool | $(COMPILE) --no-annotate --output-file $$tool - || exit 1; \
	done

clean: ## Remove .venv and what the tools left here; what is in the user's cache stays
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
