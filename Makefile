# Two commands: `make demo` and `make test`. Everything lives in .venv; nothing outside this folder is touched.
PYTHON ?= python3
STORY ?= fixtures/fhir/nsclc-unresectable-overdose
INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test bench clean

# Start the service on loopback, post a story over HTTP, print what an EHR would get, serve on (ONCE=1: end instead).
demo: .venv/installed
	.venv/bin/durvalumab-cds demo $(STORY) $(if $(ONCE),--once)

# Everything a change has to pass.
test:
	PYTHON=$(PYTHON) .ci/run

# The service beside a bare route, on this machine (docs/benchmarks.md).
bench: .venv/installed
	.venv/bin/python -m benchmarks

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) .
	touch $@

clean:
	rm -rf .venv build *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
