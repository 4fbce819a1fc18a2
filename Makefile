# The only list of commands. Each one can be run on a fresh clone.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# The system's Python where it is new enough: a private one under /root is out of other users' reach.
PYTHON := $(shell /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo /usr/bin/python3 || command -v python3)
UV_VERSION := 0.13.9
UV := .tools/bin/uv
export UV_PYTHON_DOWNLOADS := never
# The machine's own certificates: it may stand behind a proxy that has one of its own.
export UV_SYSTEM_CERTS := true
BIN := .venv/bin

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## Make the locked environment in .venv; as root also install the Debian packages
	@scripts/system-packages
	@$(MAKE) --no-print-directory .venv/.made

$(UV): Makefile
	@rm -rf .tools && $(PYTHON) -m venv .tools && .tools/bin/pip install --quiet uv==$(UV_VERSION)
	@touch $(UV)

.venv/.made: $(UV) pyproject.toml uv.lock
	@$(UV) sync --frozen --quiet --compile-bytecode --python $(PYTHON)
	@$(BIN)/python -m compileall -q src
	@touch .venv/.made

.PHONY: demo
demo: setup ## Run the main job end to end on real packets, and print each step with its milliseconds
	@$(BIN)/python demo/demo.py

.PHONY: test
test: setup ## Run all checks and all tests
	@$(MAKE) --no-print-directory static
	@# One more process than there are cores: tests of servers and packets wait a fifth of their time.
	@$(BIN)/pytest --numprocesses=$$(($$(nproc) + 1)) --durations=10

.PHONY: check
check: setup static ## Format, lint, types, import rules, unit and contract tests; under a minute
	@$(BIN)/pytest -q tests/unit tests/contract tests/architecture

.PHONY: static
static:
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports

.PHONY: bench
bench: setup ## Run all benchmarks; print ratios and write bench/results.json
	@scripts/bench-packages
	@$(BIN)/python -m tests.benchmarks

.PHONY: bench-quick
bench-quick: setup ## Run the benchmarks with fewer samples, in under three minutes
	@scripts/bench-packages
	@$(BIN)/python -m tests.benchmarks --quick

.PHONY: bench-scale
bench-scale: setup ## Measure estates of 1,000, 10,000 and 30,000 endpoints, and of 100,000 in four pools
	@$(BIN)/python -m tests.benchmarks.scale

.PHONY: bench-plot
bench-plot: setup ## Draw the ratios in bench/results.json for the documentation
	@$(BIN)/python -m tests.benchmarks.plot bench/results.json docs/reference/benchmarks/ratios.svg

.PHONY: soak
soak: setup ## Kill everything at random under load, as root, for a time of yours: make soak FOR=600 (seconds)
	@$(BIN)/python -m tests.soak --seconds $(or $(FOR),600)

.PHONY: openapi
openapi: setup ## Write the description of the API to docs/reference/openapi.json
	@$(BIN)/python scripts/openapi.py

.PHONY: format
format: setup ## Format the code and sort imports
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --fix --quiet .

.PHONY: clean
clean: ## Remove what setup made
	@rm -rf .venv .tools .pytest_cache .ruff_cache .hypothesis bench/results.json bench/scale.json
