# make demo    train with and without batch normalization on handwritten digits, and write a report
# make test    the tests; TESTS=tests/nn those of a folder, a file, or what pytest takes
# make check   style, types
# make docs    the pages of the doctor's rules, from the rules, and the gallery of reproduced studies, from their results
# make bench   speed, as ratios against plain PyTorch
# make test-gpu    the tests of the GPU kernels, by $(PYTHON) itself: offline, with the PyTorch and Triton that it has
# make bench-gpu   speed on a GPU, likewise: ledger and picture (BENCH="--minutes 5 --continue", LEDGER=path); BENCH=--tune tunes
PYTHON ?= python3
VENV ?= .venv
NORMWISE = $(VENV)/bin/normwise
# One compute thread per test process: the tests train small networks, two at a time.
TEST = OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist worksteal

# No virtual environment: a machine with a GPU has its own PyTorch, and often no network.
HERE = PYTHONPATH=src$${PYTHONPATH:+:$$PYTHONPATH}
ON_GPU = $(HERE) NORMWISE_TRITON=1 PYTHONUNBUFFERED=1 $(PYTHON)
LEDGER ?= benchmarks/results/gpu.csv

.PHONY: demo test check docs bench test-gpu bench-gpu

demo: $(VENV)/demo.done
	$(NORMWISE) compare

test: $(VENV)/test.done
	$(TEST) $(TESTS)

check: $(VENV)/test.done
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/demo.done
	$(VENV)/bin/python docs/rules.py
	$(VENV)/bin/python docs/reproductions.py

bench: $(VENV)/demo.done
	$(NORMWISE) bench
	$(VENV)/bin/python -m benchmarks.run

test-gpu:
	@$(HERE) $(PYTHON) -c 'import pytest' || { echo 'make test-gpu needs pytest, which $(PYTHON) lacks; install it (pip install pytest), or choose another: make test-gpu PYTHON=python3.12'; exit 2; }
	@$(HERE) $(PYTHON) -c 'import sys, torch; torch.cuda.is_available() or sys.exit("make test-gpu needs a GPU, and torch sees none, so that every test would be skipped; run it where torch.cuda.is_available()")'
	$(ON_GPU) -m pytest -p no:xdist -W default tests/gpu $(TESTS)

bench-gpu:
	$(ON_GPU) -m benchmarks.gpu --ledger $(LEDGER) $(BENCH)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("normwise needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; choose another: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[lab]'
	touch $@

$(VENV)/test.done: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[lab,test,check]'
	touch $@
