# Everything runs in .venv, which the first target makes from requirements.txt.
PYTHON ?= python3
BIN := .venv/bin
export NO_ALBUMENTATIONS_UPDATE := 1
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install demo test test-long check docs bench audit sbom format clean

help:
	@echo "make install    create .venv and install Likewise into it"
	@echo "make demo       run the whole loop on sample images (about 3 minutes)"
	@echo "make test       run the tests (under 10 minutes)"
	@echo "make test-long  run the long tests too"
	@echo "make check      formatting, lint, strict types, security lint, documentation"
	@echo "make bench      speed beside other libraries, short form (installs them; about 10 minutes)"
	@echo "make audit      known vulnerabilities of the tested versions (asks PyPI)"
	@echo "make sbom       a software bill of materials into dist/"
	@echo "make docs       build the documentation into site/"
	@echo "make format     format the code"
	@echo "make clean      remove .venv and caches; data and workspaces stay"

install: .venv/.installed

.venv/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Likewise needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || \
	  { echo "Python's venv module is missing: apt install python3-venv"; rm -rf .venv; exit 1; }
	@echo "installing into .venv (about 7 GB, mostly torch; one to three minutes) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check "uv>=0.8"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt || \
	  $(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@
	@echo "installed; now: source .venv/bin/activate, then: likewise --help"

demo: install
	$(BIN)/likewise demo

test: install
	$(PYTEST)

test-long: install
	$(PYTEST) -m ""

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r ssl labeler
	@$(MAKE) --no-print-directory docs

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "site/index.html"

bench: install
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -e .[bench]
	$(BIN)/python -m benchmarks.speed --short

audit: install
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -e .[audit]
	grep -v '^-e' requirements.txt > .audited.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip -r .audited.txt; code=$$?; rm -f .audited.txt; exit $$code

sbom: install
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -e .[audit]
	@mkdir -p dist
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o dist/likewise.cdx.json $(BIN)/python

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv site .mypy_cache .ruff_cache .pytest_cache .hypothesis
