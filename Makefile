# A thin menu over the CMake presets. `make run` and `make test` do all the set-up.
SHELL := /bin/bash
BUILD := build
PYTHON := .venv/bin/python
export PATH := /usr/lib/llvm-22/bin:$(PATH)

.PHONY: help run test check-cuda test-frameworks build packages python lit unit pytest docs bench format lint tidy clean

help:
	@echo "make run              compile a RePo model ahead of time, run it, compare it with the reference, draw its positions"
	@echo "make test             lit, unit and Python tests"
	@echo "make test-frameworks  tests that need PyTorch (installs it)"
	@echo "make check-cuda       tests and benchmarks on a CUDA device"
	@echo "make docs             pages of ops and passes in build/docs"
	@echo "make bench            benchmarks against peers and the limits of the machine"
	@echo "make format, lint     format the sources; check them"
	@echo "make tidy             clang-tidy over the C++ sources (minutes)"

packages:
	@scripts/setup.sh packages

python:
	@scripts/setup.sh python

build: packages
	@[ -f $(BUILD)/build.ninja ] || cmake --preset dev > $(BUILD)-configure.log 2>&1 || { cat $(BUILD)-configure.log; exit 1; }
	@cmake --build --preset dev

run: build python
	@PYTHON=$(PYTHON) scripts/demo.sh

lit: build python
	@cmake --build --preset dev --target check-repo

unit: build
	@cmake --build --preset dev --target check-repo-unit

pytest: build python
	@PYTHONPATH=python $(PYTHON) -m pytest -q -n $$(nproc) --dist loadgroup -m "not frameworks" python/tests

test: lit unit pytest

test-frameworks: build
	@scripts/setup.sh frameworks
	@PYTHONPATH=python $(PYTHON) -m pytest -q -m frameworks python/tests

check-cuda: build
	@scripts/setup.sh frameworks
	@PYTHON=$(PYTHON) scripts/check-cuda.sh

docs: packages
	@[ -f $(BUILD)/build.ninja ] || cmake --preset dev > /dev/null
	@cmake --build --preset dev --target repo-docs && echo "pages: $(BUILD)/docs"

bench: build python
	@PYTHONPATH=python $(PYTHON) benchmark/run.py --suite attention --json $(BUILD)/benchmark-attention.json

format:
	@git ls-files '*.cpp' '*.h' '*.c' | xargs clang-format-22 -i

lint:
	@scripts/lint.sh

tidy: build
	@git ls-files 'lib/*.cpp' 'tools/*.cpp' | xargs -P $$(nproc) -n 4 clang-tidy-22 -p $(BUILD) --quiet

clean:
	rm -rf $(BUILD)
