# Every target works from a fresh clone: `setup` runs first and takes under a second when nothing changed.

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$p; break; fi; done)
endif
RUN := .venv/bin/python -m

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-check test lint format types contracts lock translations screenshots clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with the locked dependencies and the browser libraries
	@test -n "$(PYTHON)" || { echo "setup: clinic-net needs Python 3.11 or newer; this machine has: \
	$$(python3 --version 2>&1)" >&2; exit 1; }
	@$(PYTHON) -m tools.setup

demo: setup ## Run a hub and two stations with sample data
	@$(RUN) tools.demo

demo-check: setup ## Run the demo end to end without a person; one JSON line a step
	@$(RUN) tools.chromium --install
	@$(RUN) tools.demo_check

test: setup ## Run every check and every test
	@$(RUN) tools.chromium --install
	@$(RUN) tools.check

lint: setup ## Check format and lint
	@$(RUN) tools.check format lint

format: setup ## Format, and repair what can be repaired
	@.venv/bin/ruff check --fix-only --quiet . && .venv/bin/ruff format .

types: setup ## Check the types of Python and JavaScript
	@$(RUN) tools.check types browser-types

contracts: setup ## Check the import order
	@$(RUN) tools.check contracts

lock: setup ## Resolve the dependencies again (UPGRADE=1 moves to the newest)
	@$(RUN) tools.lock $(if $(UPGRADE),--upgrade)

translations: setup ## Bring the catalogues up to date with the code and compile them
	@$(RUN) tools.translations --update

screenshots: setup ## Take pictures of the pages
	@$(RUN) tools.chromium --install
	@$(RUN) tools.screenshots

clean: ## Remove everything that setup and the checks made
	@rm -rf .venv .setup.lock node_modules clinic_net/protocol/browser/vendor dist build \
	.mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find clinic_net station_agent migrations tests tools \( -name __pycache__ -o -name '*.mo' \) -prune \
	-exec rm -rf {} +
