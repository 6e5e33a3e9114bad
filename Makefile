# make demo   a machine on this computer, its engine, a container on it, by the real docker CLI
# make test   everything, on real hosts
# Both do all the set-up themselves (scripts/setup); run them as root on a Debian machine.

SHELL := /bin/bash
export PATH := $(CURDIR)/.cache/tools/bin:$(PATH):/usr/sbin:/sbin
PYTEST ?= .venv/bin/pytest
# How many tests run at once, each in another file; 0 for all in one process.
WORKERS ?= 2
# What runs on other systems than Linux too.
CLIENT := $(addprefix -p pymachine.,machine store provisioners drivers.generic drivers.none drivers.amazonec2)

.PHONY: help setup demo test unit lint format bench clean

help:
	@sed -n 's/^# \?//p' Makefile | head -3
	@echo "also: setup, unit, lint, format, bench, clean"

setup:
	@scripts/setup

demo: setup
	@scripts/demo

test:
	@scripts/setup --tests
	@PYTHONPATH=tests .venv/bin/python -m support.sweep
	PYMACHINE_NO_SKIPS=1 scripts/sandbox $(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

unit:
	@scripts/setup --lint
	$(PYTEST) tests/unit tests/test_layout.py $(ARGS)

lint:
	@scripts/setup --lint
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	for system in win32 darwin; do .venv/bin/mypy --platform $$system $(CLIENT) || exit; done

format:
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	PYTHONPATH=tests .venv/bin/python -m support.optiontables # the drivers' options in docs/

bench:
	@scripts/setup --bench
	scripts/sandbox .venv/bin/python -m bench $(ARGS)

clean:
	@scripts/clean
