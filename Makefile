# `make` alone prints this file's own help: "##@" starts a group, "##" describes a target.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST := $(BIN)/python -m pytest $(if $(CC_SEED),--hypothesis-seed=$(CC_SEED))
ifdef PYTHON
export PYTHON
endif

##@ Start here
.PHONY: run demo
run: ## Set up, build and start the demo campus (first time about two minutes, then seconds)
	@tools/setup.sh run
	@tools/build.sh release
	@# Its own foreground job: Ctrl-C reaches the demo, which drains and ends well, and not make.
	@if [ -t 0 ]; then set -m; fi; CAMPUSCARD_DIES_WITH_PARENT=1 $(BIN)/campuscard demo $(ARGS) || exit

demo: run ## The same as `make run`; ARGS="..." goes to `campuscard demo`

##@ Build
.PHONY: setup build debug annotate pages picture clean
setup: ## Create .venv and install what is missing (repeating it costs nothing)
	@tools/setup.sh dev

build: setup ## Build the extension and the gRPC stubs in place, if anything changed
	@tools/build.sh release

debug: setup ## Build with bounds checks, C asserts and symbols instead; `make build` goes back
	@tools/build.sh debug

annotate: build ## Write build/annotate/ext/*.html: yellow lines talk to Python
	@$(BIN)/python setup.py -q annotate >build/annotate.log 2>&1 || { tail -n 30 build/annotate.log; exit 1; }
	@ls build/annotate/ext/*.html

pages: build ## Make the reference pages that are tables of the code
	@$(BIN)/python -m tools.gen_pages

picture: build ## Draw docs/images/demo.svg: the screen of a demo that runs for some seconds
	@$(BIN)/python -m tools.gen_picture

clean: ## Remove everything built (keeps .venv)
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	@find ext core server clients bench tests tools -name '*.so' -delete -o -name '__pycache__' -prune -exec rm -rf {} + 2>/dev/null || true
	@rm -f ext/reasons.h ext/reasons.pxd

##@ Check
.PHONY: test test-fast test-crash test-sanitize fuzz lint format
test: build lint ## Everything a change must pass: build, linters, all tests
	@tools/test.sh $(ARGS)

test-fast: build ## Only the tests that take less than five seconds; ARGS="-k word" selects
	@$(PYTEST) -q -n 2 --dist loadscope -m "not serial and not slow" $(ARGS)

test-crash: build ## Kills, power cuts, damage at every 8th boundary: 20 minutes; SHARE=2/8 the next
	@CC_SEED=$${CC_SEED:-1} CC_SHARE=$(or $(SHARE),1/8) CC_FLIPS=1000 CC_IMAGES=2 \
		$(PYTEST) -q -n 2 --dist loadscope tests/crash $(ARGS)

test-sanitize: setup ## The tests on a build of their own with address and undefined behaviour sanitizers
	@tools/sanitize.sh -m "not serial and not slow" $(ARGS)

fuzz: build ## Fuzz codec and front end for SECONDS=600 each; keep what covers more
	@for subject in decoder reading writing front tls; do tools/fuzz.sh $$subject $(or $(SECONDS),600) keep; done

lint: build ## ruff, mypy, cython-lint and buf, without changing a file
	@tools/lint.sh

format: setup ## Let ruff and buf rewrite what they can
	@tools/lint.sh --fix

##@ Measure
.PHONY: bench bench-peers
bench: build ## Run the benchmarks, print the table, write bench/results/latest.json
	@exec $(BIN)/campuscard bench $(ARGS)

bench-peers: build ## The same by SQLite, PostgreSQL, Redis; fetches them, writes README.md's table and chart
	@exec $(BIN)/python -m bench.peers $(ARGS)

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
