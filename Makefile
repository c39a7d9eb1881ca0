# `make demo` and `make test` each do all their set-up on a fresh machine that has Python 3.11 or newer.
PYTHON ?= python3
# Named on its own and first: a bare `torch` may bring gigabytes of GPU libraries to a machine without one.
TORCH ?= torch==2.13.0
BIN := .venv/bin
# Two processes of one thread each: two of several threads wait for each other more than they compute.
PYTEST := env OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

.PHONY: demo bench-quick test quick check docs format audit clean

demo: .venv/.demo
	$(BIN)/plad run recipes/demo.yaml

# One cell of docs/results.md at a tenth of its size, beside the published row. The task comes through apt.
bench-quick: .venv/.real
	$(BIN)/plad fetch smollm2-135m-instruct gemma-3-270m
	$(BIN)/python benchmarks/real_quick.py

test: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST)

quick: .venv/.dev
	$(PYTEST) -m "not slow"

check: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Not --quiet: a warning that is not shown is not counted, and a broken link would pass.
docs: .venv/.dev
	$(BIN)/mkdocs build

format: .venv/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Known weaknesses of what is installed. Fails on a finding; where the database can't be reached, it says so and passes.
audit: .venv/.dev
	$(BIN)/python .ci/audit.py

clean:
	rm -rf .venv build dist runs

.venv/.torch:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "plad needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(TORCH)
	touch $@

.venv/.demo: .venv/.torch pyproject.toml
	$(BIN)/pip install --quiet -e '.[demo]'
	touch $@

.venv/.real: .venv/.torch pyproject.toml
	$(BIN)/pip install --quiet -e '.[demo,gguf]'
	touch $@

.venv/.dev: .venv/.torch pyproject.toml
	$(BIN)/pip install --quiet -e '.[demo,dev]'
	touch $@
