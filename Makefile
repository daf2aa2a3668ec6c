# make run    the site on http://127.0.0.1:8000, from nothing
# make test   the test suite, from nothing
# make check  what every change must pass besides the tests
# make setup  only the environment; make bench  the benchmarks
SHELL := /bin/bash
PY := .venv/bin/python
PORT ?= 8000
HOST ?= 127.0.0.1
MERCATO_DATA ?= data
# One more than there are processors: a worker waits for sites and programs for most of its time.
JOBS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
PYTEST_ARGS ?=
# The tests start hundreds of processes: each reads the compiled modules that the first one left.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-services check lint types contracts migrations schema setup bench clean

run: setup
	@MERCATO_DATA="$(MERCATO_DATA)" $(PY) manage.py up --data "$(MERCATO_DATA)" --host "$(HOST)" --port "$(PORT)"

# One thread per library call: parallel tests share the cores already.
test: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) $(PYTEST_ARGS)

# The same on PostgreSQL and Redis, started for the occasion and thrown away afterwards.
test-services: setup
	OMP_NUM_THREADS=1 $(PY) scripts/with_services.py $(PY) -m pytest -n $(JOBS) $(PYTEST_ARGS)

check: lint types contracts migrations schema compose

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: setup
	$(PY) -m mypy

contracts: setup
	.venv/bin/lint-imports

migrations: setup
	DJANGO_SETTINGS_MODULE=config.settings.test $(PY) manage.py makemigrations --check --dry-run
	DJANGO_SETTINGS_MODULE=config.settings.test $(PY) manage.py check

# The OpenAPI document in the repository is the one that the code makes.
schema: setup
	DJANGO_SETTINGS_MODULE=config.settings.test $(PY) manage.py spectacular --validate --fail-on-warn --file .venv/openapi.yaml
	diff -u api/v1/openapi.yaml .venv/openapi.yaml

# Asked only of a machine that has Docker.
.PHONY: compose
compose:
	@if docker compose version >/dev/null 2>&1; then docker compose config --quiet && echo "docker-compose.yml is well-formed"; \
	else echo "docker compose is not on this machine: docker-compose.yml is checked by tests/ops only"; fi

bench: setup
	@for file in bench/[a-z]*.py; do echo "== $$file"; PYTHONPATH=. OMP_NUM_THREADS=1 $(PY) "$$file" || exit 1; done

setup: .venv/.ready

.venv/.ready: pyproject.toml package.json package-lock.json scripts/setup.sh scripts/vendor_static.py
	@scripts/setup.sh
	@touch .venv/.ready

clean:
	rm -rf .venv node_modules static/vendor
