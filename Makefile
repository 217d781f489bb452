# Sets up everything in .venv and runs it there. Needs make and Python 3.11 or newer.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
BENCH_INSTALLED := .venv/.installed-bench
DOCS_INSTALLED := .venv/.installed-docs

.PHONY: demo test lint bench docs clean

demo: $(INSTALLED)
	$(BIN)/python examples/plot_digits_pipeline.py

test: $(INSTALLED)
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto  # waiting threads leave the cores to others

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(BENCH_INSTALLED)
	$(BIN)/python benchmarks/run_all.py

docs: $(DOCS_INSTALLED)  # to docs/_build; with ARGS="-D plot_gallery=0" the examples do not run
	OMP_WAIT_POLICY=passive $(BIN)/python -m sphinx --fail-on-warning --keep-going $(ARGS) docs docs/_build

clean:
	rm -rf .venv docs/_build docs/_examples docs/gallery docs/api/generated docs/api/backreferences

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[plot,data,test,lint]'
	touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@
