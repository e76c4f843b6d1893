# Fleetlake's commands. A bare machine with Python 3.11, 3.12 or 3.13 and make is enough: everything else goes into .venv.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export DAGSTER_DISABLE_TELEMETRY := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export GX_ANALYTICS_ENABLED := false
# A demo starts dozens of Python processes, the tests hundreds: each would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  . $(BIN)/activate puts fleetlake, the command that docs/how-to speaks of, on the PATH of this shell"

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "Fleetlake needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@echo "Installing into .venv (some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m lake.spark.jars >/dev/null
	@$(BIN)/python -m lake.spark.class_archive >/dev/null || echo "Without an archive of its classes Spark starts more slowly; nothing else is different"
	@$(BIN)/python -m ingest.compile_readers
	@$(BIN)/python -m lake.derive.motion.compile_rules
	@$(BIN)/python -m marts.manifests >/dev/null
	@touch $@

.PHONY: install
install: .venv/installed ## Make .venv with exactly the versions of requirements.lock

.PHONY: manifests
manifests: .venv/installed ## Prepare dbt's manifests, one a region
	@$(BIN)/python -m marts.manifests

.PHONY: demo
demo: .venv/installed ## The whole system on this machine with simulated fleets, then a report
	@$(BIN)/fleetlake demo

.PHONY: ui
ui: .venv/installed ## Dagster's web server and daemon on the same state
	@$(BIN)/fleetlake ui

.PHONY: map
map: .venv/installed ## The live map of all regions, on the same state
	@$(BIN)/fleetlake serve --region all

.PHONY: up down status
up: .venv/installed ## Start the embedded stack
	@$(BIN)/fleetlake up
down: .venv/installed ## Stop the embedded stack
	@$(BIN)/fleetlake down
status: .venv/installed ## What runs, where, and how far behind it is
	@$(BIN)/fleetlake status

.PHONY: test
test: .venv/installed ## All tests, on the real embedded services; four processes share the files, for they wait a lot
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: test-fast
test-fast: .venv/installed ## Tests without Spark and the embedded services, some 3 minutes; prints what it leaves out
	@$(BIN)/python -m pytest --fast --numprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: test-real
test-real: .venv/installed ## All real telemetry end to end, with kills; some half an hour
	@$(BIN)/python -m pytest -m '' tests/endtoend

.PHONY: test-all
test-all: simulate ## 10,000 simulated histories, then all tests, the long ones too; some 50 minutes
	@$(BIN)/python -m pytest -m '' --numprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: simulate
simulate: .venv/installed ## 10,000 random histories of a simulated cluster of consumers; some 3 minutes
	@$(BIN)/python -m tests.simulation --first 10000 --count 10000

.PHONY: check
check: .venv/installed ## Lint, format, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models

.PHONY: bench
bench: .venv/installed ## Benchmarks, each with its peers in the same run
	@$(BIN)/fleetlake bench all

.venv-deploy/installed: deploy/requirements.lock
	@echo "Installing the CDK into .venv-deploy (some 850 MB, a minute or two)"
	@test -x .venv-deploy/bin/python || $(PYTHON) -m venv .venv-deploy
	@.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r deploy/requirements.lock
	@touch $@

.PHONY: deploy-venv
deploy-venv: .venv-deploy/installed ## The venv that the CDK is in; tests of the templates use it where it is there

.venv-bi/installed: bi/requirements.lock
	@echo "Installing Apache Superset into .venv-bi (some 900 MB, some minutes)"
	@test -x .venv-bi/bin/python || $(PYTHON) -m venv .venv-bi
	@.venv-bi/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r bi/requirements.lock
	@touch $@

.PHONY: bi-venv
bi-venv: .venv-bi/installed ## The venv that Apache Superset is in, for fleetlake bi up

.PHONY: deploy-check
deploy-check: .venv-deploy/installed ## The deployment to AWS, checked without an account: templates, policies, residency
	@.venv-deploy/bin/python -m deploy.check

.PHONY: deploy
deploy: .venv-deploy/installed ## make deploy REGION=eu: the stacks of a region, of world or of network, onto AWS
	@test -n "$(REGION)" || { echo "Name what to deploy: make deploy REGION=eu"; exit 2; }
	@rm -rf build/cdk && .venv-deploy/bin/python -m deploy.assembly build/cdk
	@npx --yes aws-cdk@2 deploy --app build/cdk --require-approval broadening "fleetlake-$(REGION)-*"

ROLES := gateway consumer serving orchestration
.PHONY: $(addprefix role-,$(ROLES))
$(addprefix role-,$(ROLES)): role-%: .venv/installed ## role-gateway, ...: the tree of a role's image as a venv, and its smoke test
	@$(BIN)/python -m bench.roles $*

.PHONY: lock
lock: ## Resolve requirements.lock anew from pyproject.toml
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra all --extra dev --extra build --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header pyproject.toml --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header deploy/requirements.in --output-file deploy/requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header bi/requirements.in --output-file bi/requirements.lock
