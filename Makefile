# The two commands are `make run` and `make test`. Everything they need is set up by them.
PY ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests wait more than they reckon: three workers keep two cores busy, and no more.
JOBS ?= 3

.PHONY: run test bench shots lint types layers setup lock
setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PY) -c 'import sys; sys.exit("CDM ChatOps needs Python 3.11 or newer; set PY=python3.x") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PY) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

run: setup
	$(BIN)/cdm run

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports --no-cache

test: setup lint types layers
	$(BIN)/python tests/system_packages.py
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/pytest -m alone

bench: setup
	$(BIN)/python -m tests.load
	$(BIN)/python -m tests.statemachine --schedules 10000

# The pictures in docs/images, from the workspace page in the system's Chromium.
shots: setup
	$(BIN)/python -m tests.browser.shots

# The lock names versions and hashes, never where they came from.
lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra test pyproject.toml build-tools.in -o requirements.lock
