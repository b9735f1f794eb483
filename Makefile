# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# One thread a process: steadier and, at the lab's size, faster; tests run in two processes.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test fuzz test-vllm check format bench bench-full clean

demo: .venv/installed
	$(BIN)/puretune demo

test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Thousands of broken and hostile inputs to every command, about ten minutes.
fuzz: .venv/installed-dev
	PURETUNE_FUZZ=400 $(BIN)/python -m pytest tests/fuzz -n 2

# vLLM needs an environment of its own (2 GB); these tests start it for real, on a CPU.
test-vllm: .venv-vllm/installed
	.venv-vllm/bin/python -m pytest tests/peers/vllm

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Beside TRL, transformers and (after `make test-vllm`) vLLM; resumes when interrupted.
bench: .venv/installed-dev
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.speed.tables

bench-full: .venv/installed-dev
	$(BIN)/python -m benchmarks.speed --full
	$(BIN)/python -m benchmarks.speed.tables benchmarks/results/speed-full.json

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv-vllm/installed: pyproject.toml constraints-vllm.txt
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --no-deps --requirement constraints-vllm.txt
	.venv-vllm/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf .venv .venv-vllm build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
