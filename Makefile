# Pravah: every task by name. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := .tools/bench

.PHONY: help
help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED) ## set up all that Pravah needs, once: Python packages in .venv/, Kafka and ClickHouse in .tools/
	@$(BIN)/python -m stack install
	@$(BIN)/python -m operations.compile

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pravah needs Python 3.11 or newer (Debian: apt-get install python3 python3-venv)")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing (Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: install ## the main job: the 2022 campaign in Chhattisgarh, event by event, to exact figures at every level
	@$(BIN)/pravah demo

.PHONY: test
test: install ## all tests, in two processes, each with a real Kafka and ClickHouse on free ports
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: check
check: install ## linters, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: format
format: install ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: install ## write the JSON Schema and AsyncAPI descriptions, and the table of metrics, anew
	$(BIN)/python -m operations.export docs

.PHONY: chaos
chaos: install ## the fault suite: every fault many times with random seeds, and a table; takes an hour
	$(BIN)/python -m tests.chaos.run

.PHONY: soak
soak: install ## ten million events: flat memory, bounded parts, exact figures
	$(BIN)/python benchmarks/soak.py --events 10000000 --workers 1

.PHONY: bench
bench: install $(PEERS)/.installed ## Pravah's worker beside Faust tables, Quix Streams, Bytewax, Kafka Streams and ClickHouse's own engine: speed and exactness, in one run
	$(BIN)/python benchmarks/compare.py

$(PEERS)/.installed: requirements/bench.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

.PHONY: lock
lock: ## write requirements/*.txt anew from pyproject.toml
	$(PYTHON) -m venv .tools/uv && .tools/uv/bin/python -m pip install --quiet uv
	.tools/uv/bin/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-annotate --no-header pyproject.toml -o requirements/runtime.txt
	.tools/uv/bin/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --extra dev pyproject.toml -o requirements/dev.txt
	.tools/uv/bin/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --extra bench pyproject.toml -o requirements/bench.txt

.PHONY: clean
clean: ## remove what was installed and every stack's data in this folder
	rm -rf $(VENV) .tools .pravah .mypy_cache .ruff_cache .pytest_cache .hypothesis
