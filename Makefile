# Scrip. Nothing but Python 3.11+ and make is needed; everything else comes as packages into .venv and .scrip.
.DEFAULT_GOAL := help
.PHONY: help setup demo up down test verify format lock generate bench-platform bench-payments bench-ledger bench-ledger-large bench-prices clean

PYTHON ?= python3
# Five processes start together: compiled once is half the time. (Empty means: do write bytecode.)
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready ## the packages, by their locked hashes

.venv/.ready: locks/installer.txt locks/all.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Scrip needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "setting up .venv (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/installer.txt
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes locks/all.txt
	@printf '#!/bin/sh\ncd "$(CURDIR)" && exec "$(CURDIR)/$(BIN)/python" -m deploy.cli "$$@"\n' > $(BIN)/scrip && chmod +x $(BIN)/scrip
	@touch $@

demo: setup ## the whole path, from sign-up to receipt and refund, and then stops everything
	@exec $(BIN)/python -m deploy.cli demo

up: setup ## a running stack for hands-on work; prints addresses, a login and an API key
	@exec $(BIN)/python -m deploy.cli up

down: setup ## stops it
	@exec $(BIN)/python -m deploy.cli down

test: setup ## all tests; a part of them with ARGS="tests/e2e -k refund"
	@exec $(BIN)/python -m pytest $(or $(ARGS),-n 2 --dist loadfile --no-loadscope-reorder)

verify: setup ## format, lint, types, import rules, migrations, lock, generated files
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy services libs deploy tests
	$(BIN)/lint-imports --no-logo
	$(BIN)/squawk --config deploy/squawk.toml services/*/migrations/*.sql libs/chassis/migrations/*.sql
	$(BIN)/python -m deploy.generate --check
	@mkdir -p build && cp locks/all.txt build/lock.txt && $(LOCK) pyproject.toml --group embedded --group dev -o build/lock.txt
	@diff -q locks/all.txt build/lock.txt || { echo "the lock is out of date: make lock"; exit 1; }

format: setup ## rewrites the code as the linter wants it
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --fix --quiet .

lock: setup ## pins what pyproject.toml names, with hashes and without addresses
	$(LOCK) pyproject.toml --group embedded --group dev -o locks/all.txt
	grep -oE '^uv==[0-9.]+' locks/all.txt | $(LOCK) --no-deps - -o locks/installer.txt

generate: setup ## schemas and references, from the code
	$(BIN)/python -m deploy.generate

bench-platform: setup ## how fast the whole is: build/bench/platform.json
	@exec $(BIN)/python -m tests.bench.platform

bench-payments: setup ## from webhooks to credits, and how fast books are compared: build/bench/payments.json
	@exec $(BIN)/python -m tests.bench.payments

bench-prices: setup ## what rating costs, a backtest of a million, how fast usage is reported: build/bench/prices.json
	@exec $(BIN)/python -m tests.bench.prices

bench-ledger: setup ## how fast the ledger is, beside its floors: build/bench/ledger.json
	@exec $(BIN)/python -m tests.bench.ledger

bench-ledger-large: setup ## the same on a million accounts and on twenty million entries, which takes long
	@exec $(BIN)/python -m tests.bench.ledger accounts entries

clean: ## removes what all this has made, but for the shared download cache
	@if test -x $(BIN)/scrip; then $(BIN)/scrip down; fi
	rm -rf .venv .scrip build .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
