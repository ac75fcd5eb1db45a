.PHONY: setup check test demo image lab-report bench fuzz proto docs clean
.DEFAULT_GOAL := check

setup:
	@scripts/setup

check: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@# More than there are cores, because tests wait too, and whoever is done takes over from others. Bytecode is kept whatever the environment says: pytest's own, made anew, costs seconds in each.
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/pytest -q -n $$(($$(nproc) * 2)) --dist worksteal -m "not lab and not slow"

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
