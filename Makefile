# Every target says what it does; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run demo check test coverage bench torture soak format clean

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: RabbitMQ, .venv (ends at once when nothing is)
	@.ci/setup

run: setup ## the whole system on this machine, until Ctrl-C
	@exec $(BIN)/sms-worker local up

demo: setup ## the migration from beginning to end, shown on this machine
	@exec $(BIN)/sms-worker local demo

check: setup ## lint, format, types, architecture, unit and contract tests: under a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(PYTEST) tests/unit tests/contracts

test: setup ## every test but bench, torture and soak; starts a real broker and database
	$(PYTEST) -m "not bench and not torture and not soak"

coverage: setup ## the same with a report of lines and branches never reached
	$(PYTEST) -m "not bench and not torture and not soak" --cov --cov-report=term

bench: setup ## measure; asserts ratios only
	$(PYTEST) tests/bench -m bench -s --timeout=900

torture: setup ## long fault campaigns
	$(PYTEST) -m torture --timeout=3600

soak: setup ## hours
	$(PYTEST) -m soak --timeout=0

format: setup ## put the sources into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the local stack's data and all caches, not .venv
	rm -rf .local .ruff_cache .mypy_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
