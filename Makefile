# Sets up everything in .venv and runs it there. Needs make and Python 3.11 or newer.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
BENCH_INSTALLED := .venv/.installed-bench

.PHONY: demo test lint bench clean

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

clean:
	rm -rf .venv

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[plot,data,test,lint]'
	touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@
