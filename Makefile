# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs, once.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check format docs lock lab lab-long real agent-long bench broken clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PYTHON ?= python3

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "correlator needs Python 3.11 or later; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "setting up $(VENV) (about a minute, once)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

setup: $(STAMP) ## make .venv with everything in it

demo: $(STAMP) ## a simulated fabric with a fault in it: verdict beside truth, report in out/demo
	@$(BIN)/correlator demo $(DEMO)

test: $(STAMP) ## the tests that need neither root, Docker nor daemons (those that do say what is missing)
	@$(BIN)/python -m pytest -q $(TESTS)

check: $(STAMP) ## formatting, lint, types, import contracts
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@PYTHONPATH=. $(BIN)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

format: $(STAMP) ## put the code into its usual form
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

docs: $(STAMP) ## write the generated pages anew
	@$(BIN)/python docs/generate.py

lock: $(STAMP) ## choose the newest versions and write requirements.lock
	@$(BIN)/pip-compile --quiet --upgrade --extra dev --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml

lab: $(STAMP) ## the real lab: namespaces, snmpd, lldpd, Docker engines, rsyslogd (root; skips by name what is missing)
	@CORRELATOR_LAB=$(or $(LAB),all) $(BIN)/python -m pytest -q -s tests/lab

lab-long: $(STAMP) ## every story and variant of the real lab, three times, then an hour of nothing (root)
	@for run in 1 2 3; do CORRELATOR_LAB=long $(BIN)/python -m pytest -q -s tests/lab || exit 1; done
	@CORRELATOR_LAB=hour $(BIN)/python -m pytest -q -s tests/lab

real: $(STAMP) ## the real-parts tests: snmpd, rsyslogd, Docker, Chromium (root; skips by name what is missing)
	@$(BIN)/python -m pytest -q -m real

agent-long: $(STAMP) ## the host agent against Docker for half an hour: 300 one-request containers, 50 kills (root)
	@CORRELATOR_ONE_SHOTS=300 CORRELATOR_MIXED=60 CORRELATOR_LONGEST=20 CORRELATOR_SECONDS=60 CORRELATOR_REQUESTS=48000 CORRELATOR_KILLS=50 \
	  $(BIN)/python -m pytest -q -s tests/agent/test_agent_real.py

bench: $(STAMP) ## reproducible benchmarks
	@for b in bench/*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

broken: $(STAMP) ## ten million broken SNMP replies and 100,000 examples of each property through the decoder
	@$(BIN)/python bench/polling/broken.py 10
	@CORRELATOR_EXAMPLES=100000 $(BIN)/python -m pytest -q tests/snmp/test_snmp_codec.py -k "noise or changed_byte"

clean: ## remove what was made here
	@rm -rf $(VENV) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
