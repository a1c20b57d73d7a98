# Every check that CI runs is `make test`; every word of these targets is explained in CONTRIBUTING.md.
.DELETE_ON_ERROR:
.PHONY: run test test-service check install bench simulate ledger lock clean

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

run: .venv/run
	@$(BIN)/python -m daemon.commands.sample

install: .venv/dev

check: .venv/dev
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q tests/core tests/docs

test: check
	$(BIN)/pytest -q -n 2 --dist loadfile tests/store tests/shell tests/security tests/promises

# The unit in a real systemd: needs root and the Debian packages debootstrap and systemd-container. Once the tree is
# there, `make test` boots it too.
TREE := /var/tmp/triaged-service-tree

test-service: .venv/dev $(TREE)
	$(BIN)/pytest -q tests/promises/test_service_booted.py

$(TREE):
	rm -rf $@.new
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,procps,python3,python3-venv bookworm $@.new
	mv $@.new $@

bench: .venv/dev
	$(BIN)/python -m benchmarks

# SEED=7 plays that seed again; FIRST=501, SEEDS=1000, DAYS=30 and YEARS=1 play others and longer ones (docs/simulation.md).
simulate: .venv/dev
	$(BIN)/python -m simulation $(if $(SEED),--seed $(SEED)) $(if $(FIRST),--first $(FIRST)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(DAYS),--days $(DAYS)) $(if $(YEARS),--years $(YEARS)) $(if $(SECONDS),--seconds $(SECONDS))

# ITEMS, STRIKES, SEED, KIND=kill9 and DATABASE=sqlite choose; the last line of each run is the verdict (docs/ledger.md).
ledger: .venv/dev
	$(BIN)/python -m ledger $(if $(ITEMS),--items $(ITEMS)) $(if $(STRIKES),--strikes $(STRIKES)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(KIND),--kind $(KIND)) $(if $(DATABASE),--database $(DATABASE))

# The only two steps that reach out: they install what the locked files name, hashes checked.
.venv/base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "triaged needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "This Python cannot make virtual environments. On Debian: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/base requirements.txt pyproject.toml
	$(INSTALL) --require-hashes -r requirements.txt
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

.venv/dev: .venv/run requirements-dev.txt
	$(INSTALL) --require-hashes -r requirements-dev.txt
	@touch $@

lock: .venv/dev
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --no-header --strip-extras --allow-unsafe --extra build -o requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --no-header --strip-extras --allow-unsafe --extra build --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
