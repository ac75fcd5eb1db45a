.PHONY: setup check test demo image lab-report bench fuzz proto docs clean
.DEFAULT_GOAL := check

setup:
	@scripts/setup

check: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/pytest -q -n auto -m "not lab"

test: setup
	@scripts/test

demo: setup
	@scripts/demo

image: setup
	@NAME="$(NAME)" scripts/image

lab-report: setup
	@scripts/lab-report

bench: setup
	@scripts/bench $(ONLY)

fuzz: setup
	@scripts/fuzz $(TARGETS) --seconds $(or $(SECONDS),20)

proto: setup
	@scripts/proto

docs: setup
	@scripts/docs

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache dist
