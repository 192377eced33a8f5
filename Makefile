# make run     set up, then open the studio in the browser    (PORT=8502 make run for another port)
# make test    set up, then run the tests
# make check   set up, then formatting, lint, types, architecture and documentation
# make lint    the ruff part of make check
# make docs    the API reference, made from the code, in build/docs
# make clean   remove the virtual environment and the caches; pictures and models stay

PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
# the first Python that is new enough
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

RUNTIME := requirements.txt
DEVELOPMENT := requirements.txt requirements-extra.txt requirements-mini.txt requirements-dev.txt
# One stamp per content of the requirement files: a second start installs nothing, a changed pin installs again.
stamp = $(VENV)/.installed-$(1)-$(shell cat $(2) | cksum | cut -d ' ' -f 1)
RUNTIME_STAMP := $(call stamp,runtime,$(RUNTIME))
DEVELOPMENT_STAMP := $(call stamp,development,$(DEVELOPMENT))

AXE := tests/browser/node_modules/axe-core/axe.min.js

.PHONY: run test check lint docs setup setup-dev port gpu-carry clean

run: port setup
	$(BIN)/streamlit run app.py --server.port $(PORT)

# Two processes halve the time on two cores; JOBS=0 make test runs them in one. Each begins with a half of its own, so that
# what neighbouring tests share (the browser's server, loaded models) is made once, and takes from the other's in the end.
JOBS ?= 2

test: setup-dev $(AXE)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: lint
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_committed_files.py tests/test_documents.py \
		tests/test_formats.py tests/test_readme.py

# The rules of accessibility, for the browser tests; without npm or a network those that need them are skipped.
$(AXE): tests/browser/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not installed: the accessibility tests will be skipped"; exit 0; }; \
	{ npm ci --silent --fetch-retries 1 --fetch-timeout 20000 --prefix tests/browser && touch $@; } \
	|| echo "npm could not fetch axe-core: the accessibility tests will be skipped"

# Every module is named, because pdoc passes over those that a package's __all__ does not list;
# Alembic's env.py runs only inside a migration.
DOCS ?= build/docs
MODULES = $(filter-out %.__init__ %.__main__ %.env,$(subst /,.,$(basename $(shell find sdxl_lora -name '*.py' | sort))))

docs: setup-dev
	$(BIN)/pdoc sdxl_lora '!sdxl_lora.records.migrations.env' $(MODULES) --docformat google --output-directory $(DOCS)

lint: setup-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check

setup: $(RUNTIME_STAMP)

setup-dev: $(DEVELOPMENT_STAMP)

$(RUNTIME_STAMP): | $(BIN)/pip
	@echo "Installing the packages of $(RUNTIME) into $(VENV); the first time this takes some minutes."
	$(BIN)/python -m pip install $(addprefix -r ,$(RUNTIME))
	@rm -f $(VENV)/.installed-runtime-* && touch $@

$(DEVELOPMENT_STAMP): | $(BIN)/pip
	@echo "Installing the packages of $(DEVELOPMENT) into $(VENV); the first time this takes some minutes."
	$(BIN)/python -m pip install $(addprefix -r ,$(DEVELOPMENT))
	@rm -f $(VENV)/.installed-* && touch $@ $(RUNTIME_STAMP)

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; install one, or name it: PYTHON=/path/to/python3 make run" >&2; exit 2; }
	@echo "Creating the virtual environment $(VENV) with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }

port: | $(BIN)/pip
	@$(BIN)/python -c 'import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", int(sys.argv[1])))' $(PORT) 2>/dev/null \
	|| { echo "error: port $(PORT) is in use or not allowed; choose another, for example: PORT=8502 make run" >&2; exit 2; }

# packages for benchmarks/gpu on a machine without a network and with Python 3.12 (benchmarks/gpu/README.md)
CARRIED := diffusers|peft|importlib.metadata|lazy.importer|datasets|dill|multiprocess

gpu-carry: setup
	rm -rf .carry/site && mkdir -p .carry/site
	$(BIN)/python -m pip install --quiet --no-deps --no-compile --only-binary=:all: --python-version 3.12 \
		--target .carry/site $$($(BIN)/python -m pip freeze | grep -iE '^($(CARRIED))==')
	tar -C .carry/site -cJf .carry/site.tar.xz .

clean:
	rm -rf $(VENV) tests/browser/node_modules .pytest_cache .mypy_cache .ruff_cache
