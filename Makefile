# Two commands do everything on a fresh machine with Python 3.11 or newer:  make demo   make test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# A browser or a whole node that was too slow on a busy machine gets two more tries; no other failure does.
AGAIN := --reruns 2 --only-rerun Timeout --only-rerun 'AssertionError: no .* within'

.PHONY: demo test check install format clean

demo: $(VENV)/installed
	$(BIN)/dicomnode demo

test: $(VENV)/installed-dev check
	scripts/debian-packages.sh
	$(BIN)/pytest -n 2 --dist loadgroup --durations=25 $(AGAIN)

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py

install: $(VENV)/installed

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info

# torch is installed first and exactly: a wider range brings gigabytes of GPU libraries.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

# A peer of the tests, grad-cam, comes without its dependencies: the tests stand in for what it imports and never uses.
$(VENV)/installed-dev: $(VENV)/installed pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps grad-cam==1.5.7
	touch $@
