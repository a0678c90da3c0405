# make demo    train with and without batch normalization on handwritten digits, and write a report
# make test    the tests
# make check   style, types
# make bench   speed, as ratios against plain PyTorch
PYTHON ?= python3
VENV ?= .venv
NORMWISE = $(VENV)/bin/normwise
# One compute thread per test process: the tests train small networks, two at a time.
TEST = OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

.PHONY: demo test check bench

demo: $(VENV)/demo.done
	$(NORMWISE) compare

test: $(VENV)/test.done
	$(TEST)

check: $(VENV)/test.done
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/demo.done
	$(NORMWISE) bench
	$(VENV)/bin/python -m benchmarks.run

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("normwise needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; choose another: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[lab]'
	touch $@

$(VENV)/test.done: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[lab,test,check]'
	touch $@
