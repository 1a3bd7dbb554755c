# Targets of the Python contender, included by the root's Makefile. Nothing else
# needs them; they install what they need by lock files, into .venv/python.
PYTHON := .venv/python/bin
PYTHON_SOURCES := $(wildcard $(addprefix functions/python/,build handler.py requirements.txt fetch/*.py))

.PHONY: python
python: build/python/built ## build the Python contender into build/ (needs Python 3.11 or newer)

build/python/built: .venv/python/installed $(PYTHON_SOURCES)
	$(PYTHON)/python functions/python/build
	@touch $@

.venv/python/installed: functions/python/requirements-dev.txt
	python3 -m venv .venv/python
	$(PYTHON)/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.PHONY: lint-python
lint-python: .venv/python/installed ## check the Python contender's format, lint, types and unit tests
	cd functions/python && ../../$(PYTHON)/ruff format --check . && ../../$(PYTHON)/ruff check . && ../../$(PYTHON)/mypy
	cd functions/python && ../../$(PYTHON)/pytest

.PHONY: test-python
test-python: build python lint-python ## test Python: the contender, both its clients, and the example (needs Python 3.11 or newer)
	bin/fanout check --contender python=build/python/$(HOST),runtime=python3.13,handler=handler.handler --client lean,tuned
	$(GOTEST) -count=1 -tags python -run ExamplePython ./bench

PYTHON_LOCK = uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make python-lock"

.PHONY: python-lock
python-lock: ## resolve the Python contender's dependencies again (needs uv)
	cd functions/python && $(PYTHON_LOCK) pyproject.toml -o requirements.txt
	cd functions/python && $(PYTHON_LOCK) pyproject.toml --group dev -o requirements-dev.txt

CI_TOGETHER += python lint-python
CI_ALONE += test-python
