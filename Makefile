# Sets up everything in .venv and runs it there. Needs make and Python 3.11 or newer.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
BENCH_INSTALLED := .venv/.installed-bench
DOCS_INSTALLED := .venv/.installed-docs
DIST_INSTALLED := .venv/.installed-dist

.PHONY: demo test lint bench docs dist matrix clean

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

dist: $(DIST_INSTALLED)  # wheel and sdist to dist, each tried in a clean environment
	$(BIN)/python -m nox --session build install

matrix: $(DIST_INSTALLED)  # with ARGS="tests/test_layers.py" some of the tests
	OMP_WAIT_POLICY=passive $(BIN)/python -m nox --session lowest newest -- $(ARGS)

clean:
	rm -rf .venv .nox dist docs/_build docs/_examples docs/gallery docs/api/generated docs/api/backreferences

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

$(DIST_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dist]'
	touch $@
