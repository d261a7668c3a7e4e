# The whole interface of a developer: `make` lists it. Nothing outside this folder is touched, but for the Debian
# packages that `make servers` installs when it is run as root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
READY := $(VENV)/.ready
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup servers check structure test demo pictures bench lock clean

help: ## list what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1#\2/p' $(MAKEFILE_LIST) | awk -F'#' '{printf "%-16s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv with every locked dependency, once (PYTHON=python3.12 chooses the interpreter)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'forewarn needs Python 3.11 or later: install it, or name one: make PYTHON=/path/to/python3.11'; exit 2; }
	@begins() { echo 'Making $(VENV) with every locked package: a few minutes, once' >&2; }; \
	if command -v uv >/dev/null 2>&1; then begins; \
		uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV) && \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	elif $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then begins; \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	else \
		echo 'forewarn needs venv or uv to make its own environment: install python3-venv (Debian) or uv'; exit 2; \
	fi
	@touch $@

servers: ## install the servers the tests run against (as root), or list what is missing
	@.ci/servers

check: setup ## lint, format, types, import contracts, structure
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/unit/test_structure.py

test: setup ## every test, with the time each suite took (WORKERS= at once, ARGS= goes to pytest)
	@.ci/servers || true
	$(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder $(ARGS)

demo: setup ## a simulated site, the first forecast ticket (ARGS="--lang zh", "--until-ticket --json", "--data DIR")
	@$(BIN)/forewarn demo $(ARGS)

pictures: setup ## take the READMEs' pictures anew, from the demo in a browser
	PICTURES_TO=docs/images $(BIN)/pytest -q tests/e2e/test_readme_demo.py

bench: setup ## measure: make bench ARGS="ingest --quick --json"
	@$(BIN)/python -m bench $(ARGS)

lock: setup ## compile requirements.lock again from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --group dev \
		--no-header --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.lock

clean: ## remove the environment and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
