PYTHON ?= python3
BIN := .venv/bin
BIOME := $(BIN)/node node_modules/@biomejs/biome/bin/biome

.PHONY: run test types suite docs bench lint dist clean

run: .venv/.installed
	$(BIN)/python app.py

test: .venv/.installed-dev .venv/.installed-scripts
	tests/browser/install.sh $(BIN)/python
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIOME) check --error-on-warnings
	$(MAKE) --no-print-directory --jobs=2 types suite

types: .venv/.installed-dev
	$(BIN)/python -m mypy

# One worker a core, each with one thread.
suite: .venv/.installed-dev
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --durations 25

docs: .venv/.installed-dev
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . build/site
	@echo "The site is in build/site: open build/site/index.html"

bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks

lint: .venv/.installed-dev .venv/.installed-scripts
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .
	$(BIOME) check --write --error-on-warnings
	$(BIN)/python -m mypy

# The wheel is built from the sdist; docs/releases.md says what is in them, and how large they are.
dist: .venv/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	du -b dist/*

clean:
	rm -rf .venv node_modules build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache

# A stamp is newer than the list it was installed from, so a second run starts at once.
.venv/.installed: requirements.txt | .venv/.created
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements-dev.txt
	@touch $@

# Node comes with the list for development; what it runs, in the versions that package-lock.json pins, from npm.
.venv/.installed-scripts: package-lock.json .venv/.installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --silent
	@touch $@

.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "geoexplain needs Python 3.10 or newer as '$(PYTHON)'. Install one, or name it: make PYTHON=/path/to/python3 run" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
