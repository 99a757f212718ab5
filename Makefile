.DEFAULT_GOAL := help
# Where the environment forbids .pyc files, each process that imports Dagster would pay a second more.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
PY   := $(VENV)/bin/python
UV   := $(VENV)/bin/uv
UV_VERSION := 0.13.8

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

$(VENV)/.installed: requirements.lock pyproject.toml
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps -r requirements.lock
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps -e .
	@touch $@

install: $(VENV)/.installed   ## .venv with the exact versions of requirements.lock

demo: install    ## the whole product against the sandbox, in under a minute
	@exec $(VENV)/bin/sync-assets demo

up: install      ## embedded Postgres, sandbox, Dagster UI and daemon until Ctrl-C
	@exec $(VENV)/bin/sync-assets up

test: install    ## lint and the whole suite, beside each other
	@exec $(MAKE) --no-print-directory -j2 linted suite

# What lint says comes in one piece, between the lines of the suite.
linted:
	@said=$$($(MAKE) --no-print-directory lint 2>&1); code=$$?; printf '\n%s\n' "$$said"; exit $$code

# Tests run make too; they are none of this one's jobs. In a new clone, each worker would compile whatever they all import.
suite:
	@unset MAKEFLAGS MFLAGS; test -d sync_assets_tests/__pycache__ || $(PY) -m pytest --collect-only -qq > /dev/null || true; \
	exec $(PY) -m pytest -n 4 --dist worksteal

lint: install    ## ruff, mypy --strict, import-linter
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

secrets: install ## no file that git knows holds a secret; the hook of .pre-commit-config.yaml
	@git ls-files -z | xargs -0 $$(sed -n 's/^ *entry: \(.venv.*\)/\1/p' .pre-commit-config.yaml)

bench: install   ## the figures of the README
	@exec $(PY) -m sync_assets_tests.bench

lock:            ## requirements.lock from pyproject.toml
	$(UV) pip compile --universal --python-version 3.11 --no-annotate --no-header --quiet --group dev pyproject.toml -o requirements.lock

.PHONY: help install demo up test linted suite lint secrets bench lock
