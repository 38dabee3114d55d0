# Every target says what it does; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run demo lint check test torture soak coverage compat bench lock dashboard screenshots image format clean

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# A file of tests stays in one process, which has a broker and a database of its own, and so do all
# of tests/system (see tests/conftest.py). They start in the order of `testpaths`: the long ones first.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: RabbitMQ, .venv (ends at once when nothing is)
	@.ci/setup

run: setup ## the whole system on this machine, until Ctrl-C
	@exec $(BIN)/sms-worker local up

demo: setup ## the migration from beginning to end, shown on this machine
	@exec $(BIN)/sms-worker local demo

lint: setup ## ruff, format, types, architecture: seconds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases tests/bench tests/compat tests/torture
	$(BIN)/lint-imports --no-cache

check: lint ## the same, and unit and contract tests: under a minute
	$(PYTEST) $(PARALLEL) tests/unit tests/contracts

test: lint ## everything but bench, torture and soak, on a real broker and database: minutes
	$(PYTEST) -m "not bench and not torture and not soak" $(PARALLEL)

torture: setup ## break every part, from where an earlier run ended: half an hour
	$(BIN)/python -m tests.torture

soak: setup ## load with faults, and nothing that grows: half an hour
	$(PYTEST) tests/torture/network -m soak -s --timeout=7200

coverage: setup ## lines and branches that no test but those of the whole system reaches
	$(PYTEST) $(PARALLEL) tests/integration tests/unit tests/contracts --cov --cov-report=
	$(BIN)/coverage report --include='worker/domain/*' --fail-under=100
	$(BIN)/coverage report --omit='worker/domain/*' --fail-under=90

# One process: a second stack beside the tests of the whole system makes everything late.
compat: setup ## the system tests on RabbitMQ 4, and an upgrade and back, as root: minutes
	@tests/compat/prepare.sh
	LAB_RABBITMQ=$(CURDIR)/.local/rabbitmq4/bin $(PYTEST) tests/system tests/compat

bench: setup ## measure; asserts ratios and the bars of the evidence: hours
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(PYTEST) tests/bench -m bench -s --timeout=900

lock: setup ## write the packages of the image with their hashes, after a change of versions
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lock]'
	echo setuptools | $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate \
		-c constraints.txt --extra console pyproject.toml - -o deploy/requirements.lock

dashboard: setup ## write Grafana's dashboard from its list of panels
	$(BIN)/python deploy/grafana/dashboard.py >deploy/grafana/dashboards/sms-worker.json

screenshots: setup ## pictures of the console in every state, into .local/shots
	$(BIN)/python -m tests.support.console_shots

image: setup ## build the image with Debian's buildah, run it, say its size (as root): minutes
	@PYTHON=$(BIN)/python deploy/image/build.sh

format: setup ## put the sources into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the local stack's data and all caches, not .venv
	rm -rf .local .ruff_cache .mypy_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
