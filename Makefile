# Tasks of Pravah. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := .tools/bench
MUTATION := .tools/mutation
UV_COMPILE := .tools/uv/bin/uv pip compile --quiet --upgrade --generate-hashes --universal \
	--python-version 3.11 --no-annotate --no-header
PIP_INSTALL := python -m pip install --quiet --disable-pip-version-check

.PHONY: help
help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED) ## install Python packages in .venv/, Kafka and ClickHouse in .tools/
	@$(BIN)/python -m stack install
	@$(BIN)/python -m operations.compile

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Pravah needs Python 3.11 or newer (Debian: apt-get install python3)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "Python lacks its venv module (Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	$(BIN)/$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: install ## the main job: the 2022 campaign, event by event, to exact figures at every level
	@$(BIN)/pravah demo

.PHONY: test
test: install ## all tests, in four processes, each with a Kafka and a ClickHouse on free ports
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --durations 10

.PHONY: test-fast
test-fast: install ## the tests that need no server, for use after each edit
	PRAVAH_HYPOTHESIS_PROFILE=fast $(BIN)/python -m pytest --numprocesses 2 --dist loadfile \
		--no-loadscope-reorder tests/property tests/unit

.PHONY: flaky
flaky: install ## tests that start workers, 20 times beside two busy processes (ARGUMENTS="PATH …")
	$(BIN)/python -m tests.flaky $(ARGUMENTS)

.PHONY: fresh-test
fresh-test: ## the README's first commands on bare Debian systems, with times (as root)
	$(PYTHON) -m tests.fresh_machine $(ARGUMENTS)

.PHONY: mutation
mutation: install $(MUTATION)/.installed ## mutants of the pure core that no test notices
	$(MUTATION)/bin/python -m tests.mutation $(ARGUMENTS)

$(MUTATION)/.installed: requirements/mutation.txt
	$(PYTHON) -m venv $(MUTATION)
	$(MUTATION)/bin/$(PIP_INSTALL) --require-hashes -r requirements/mutation.txt
	@touch $@

.PHONY: check
check: install ## linters, types, which package may import which, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tests.advisories

.PHONY: format
format: install ## format the code and apply the safe fixes of the linter
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: install ## rewrite the JSON Schema, the AsyncAPI description and the table of metrics
	$(BIN)/python -m operations.export docs

.PHONY: transcripts
transcripts: install ## run the commands of the docs' transcripts, and write their outputs again
	PRAVAH_WRITE_TRANSCRIPTS=1 $(BIN)/pytest -q tests/integration/test_transcripts.py

.PHONY: images
images: install ## take the pictures of the documentation anew, from the data of `make demo`
	$(BIN)/python benchmarks/images.py

.PHONY: chaos
chaos: install ## the fault suite: every fault, many times, with random seeds; takes an hour
	$(BIN)/python -m tests.chaos.run

.PHONY: soak
soak: install ## ten million events: flat memory, bounded parts, exact figures
	$(BIN)/python benchmarks/soak.py --events 10000000 --workers 1

.PHONY: bench
bench: install $(PEERS)/.installed ## speed and exactness beside other stream processors
	$(BIN)/python benchmarks/compare.py

$(PEERS)/.installed: requirements/bench.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/$(PIP_INSTALL) --require-hashes -r requirements/bench.txt
	@touch $@

.PHONY: lock
lock: ## lock requirements/*.txt to the newest versions that pyproject.toml allows
	$(PYTHON) -m venv .tools/uv && .tools/uv/bin/python -m pip install --quiet uv
	$(UV_COMPILE) --extra all pyproject.toml -o requirements/runtime.txt
	$(UV_COMPILE) --extra dev pyproject.toml -o requirements/dev.txt
	$(UV_COMPILE) --extra bench pyproject.toml -o requirements/bench.txt
	$(UV_COMPILE) --extra mutation pyproject.toml -o requirements/mutation.txt

.PHONY: clean
clean: ## remove what was installed, and the data of the stack in this folder
	rm -rf $(VENV) .tools .pravah .mypy_cache .ruff_cache .pytest_cache .hypothesis
