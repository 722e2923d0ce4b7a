# What a newcomer types. Every target sets itself up first; `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
BASELINE := protos/baseline.binpb
# AREA narrows `chaos` and `perf` to one area; ARGS goes to the command behind `test`, `chaos`, `perf`, `demo` and `dev`.
AREA ?=
ARGS ?=

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Create .venv from the lock file and install the servers that tests start; instant when done.
	@tools/setup.sh

.PHONY: proto
proto: setup ## Write what is generated: stubs from protos/; errors.md, configuration.md and lifecycle.md in docs/ from the source.
	$(BIN)/python -m tools.gen_protos
	$(BIN)/python -m tools.errors_page
	$(BIN)/python -m tools.configuration_page
	$(BIN)/python -m tools.lifecycle_page

.PHONY: check lint types imports house stubs contracts
check: lint house stubs contracts imports types ## Judge the source by ruff, house rules, drift, buf, lint-imports, mypy; with -k all at once.

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --output-format=concise . || { echo "not formatted: run \`make format\`" >&2; exit 1; }

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

house: setup
	$(BIN)/python -m tools.house

stubs: setup
	$(BIN)/python -m tools.gen_protos --check
	$(BIN)/python -m tools.errors_page --check
	$(BIN)/python -m tools.configuration_page --check
	$(BIN)/python -m tools.lifecycle_page --check

contracts: stubs
	$(BIN)/buf lint
	@test -f $(BASELINE) || { echo "$(BASELINE) is missing: run \`make baseline\` and commit it" >&2; exit 1; }
	$(BIN)/buf breaking protos --against $(BASELINE)

.PHONY: format
format: setup ## Format the source and mend what ruff can mend.
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

.PHONY: baseline
baseline: proto ## Let the contracts as they are now be what `buf breaking` compares with; say why in the commit.
	$(BIN)/buf build protos --exclude-source-info --output $(BASELINE)

.PHONY: lock
lock: setup ## Write requirements.lock anew from pyproject.toml; what is pinned stays unless ARGS="--upgrade".
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --extra server --extra cluster --extra dev \
	  --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --no-emit-options --output-file requirements.lock $(ARGS) pyproject.toml

# Files of tests in their order, one on each processor at a time; the slowest, those of chaos, come first.
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup ## Run the tests, side by side; ARGS="-k feature" narrows them, ARGS="-n 0" runs one after the other.
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

# How long, or how often, faults last under `make chaos`; a plain run has each of them once and short.
CHAOS_LENGTHS := CHAOS_SOAK_S=180 CHAOS_BROKER_AWAY_S=60 CHAOS_RELAY_DEATHS=10 CHAOS_ETCD_KILLS=8 CHAOS_POSTGRES_RESTARTS=30 \
  CHAOS_ROTATIONS=25 CHAOS_EVERY_POINT=1 CHAOS_LIFECYCLE_RESTARTS=10

.PHONY: chaos
chaos: setup ## Run the tests that kill, stall and corrupt, at full length: all, or AREA=cluster.
	$(CHAOS_LENGTHS) $(BIN)/python -m pytest tests/chaos --timeout 1800 $(if $(AREA),-k $(AREA)) $(ARGS)

.PHONY: perf
perf: setup ## Measure: one JSON object a line, for all areas or AREA=features.
	@$(BIN)/python -m tests.performance $(AREA) $(ARGS)

.PHONY: demo
demo: setup ## Do the platform's main job on real data, with its own platform.
	$(BIN)/synapsenet demo $(ARGS)

.PHONY: dev
dev: setup ## Run the whole platform on this machine until Ctrl-C.
	$(BIN)/synapsenet dev $(ARGS)

.PHONY: clean
clean: ## Remove everything that can be made again, .venv too; data in .synapsenet stays.
	rm -rf .venv third_party clients/.generating-* build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
