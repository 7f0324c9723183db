# Two commands on a fresh machine: make quickstart, make test. Both need only Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: quickstart test lint types notebooks docs figures docs-serve bench bench-statistics calibrate setup clean

quickstart: $(VENV)/.local  ## a real experiment on a real model, on this machine, no key
	$(BIN)/promptlab models pull smollm2-135m
	$(BIN)/promptlab run analysis/quickstart.yaml

test: $(VENV)/.dev  ## the whole test suite; ARGS="-m vectors" runs a part of it
	$(BIN)/python -m pytest -n 2 $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## the folders are laid out as the package they become
	rm -rf build/types && mkdir -p build/types
	cp -R promptlab build/types/ && cp -R analysis stimuli tasks build/types/promptlab/
	cd build/types && $(abspath $(BIN))/mypy --cache-dir ../../.mypy_cache --config-file ../../pyproject.toml -p promptlab

notebooks: $(VENV)/.dev  ## executes the notebooks; the fifth needs the extra whitebox
	$(BIN)/promptlab models pull smollm2-135m
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=900 -n 2 notebooks $(ARGS)

docs: $(VENV)/.dev  ## the site, into build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

figures: $(VENV)/.dev  ## the pictures of README and docs, from the run in runs/example
	$(BIN)/python docs/_site/figures.py docs/figures

docs-serve: $(VENV)/.dev  ## the site on http://127.0.0.1:8000, anew with every change
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

bench: $(VENV)/.dev  ## what it costs, beside its targets; ARGS=--quick, ARGS=--million, ARGS=--help
	$(BIN)/python benchmarks/bench.py $(ARGS)

bench-statistics: $(VENV)/.dev  ## the statistics beside scipy, and a table of a million scores; ARGS=--quick
	$(BIN)/python benchmarks/bench_statistics.py $(ARGS)

calibrate: $(VENV)/.dev  ## error rates and coverage by simulation, docs/calibration.md; ARGS="--simulations 20" for a look
	$(BIN)/promptlab calibrate --out docs $(ARGS)

setup: $(VENV)/.dev  ## everything a developer needs

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[local]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
