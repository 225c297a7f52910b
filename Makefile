PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test docs bench lint dist clean

run: .venv/.installed
	$(BIN)/python app.py

test: .venv/.installed-dev
	tests/browser/install.sh $(BIN)/python
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest

docs: .venv/.installed-dev
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . build/site
	@echo "The site is in build/site: open build/site/index.html"

bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks

lint: .venv/.installed-dev
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .
	$(BIN)/python -m mypy

# The wheel is built from the sdist; docs/releases.md says what is in them, and how large they are.
dist: .venv/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	du -b dist/*

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache

# A stamp is newer than the list it was installed from, so a second run starts at once.
.venv/.installed: requirements.txt | .venv/.created
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements-dev.txt
	@touch $@

.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "geoexplain needs Python 3.10 or newer as '$(PYTHON)'. Install one, or name it: make PYTHON=/path/to/python3 run" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
