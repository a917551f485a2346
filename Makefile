# Two commands: `make demo` and `make test`. Everything lives in .venv; nothing outside this folder is touched.
PYTHON ?= python3
STORY ?= fixtures/fhir/nsclc-unresectable-overdose
INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test docs bench crash soak footprint sbom clean

# Start the service on loopback, post a story over HTTP, print what an EHR would get, serve on (ONCE=1: end instead).
demo: .venv/installed
	.venv/bin/durvalumab-cds demo $(STORY) $(if $(ONCE),--once)

# Everything a change has to pass.
test:
	PYTHON=$(PYTHON) .ci/run

# The pages that are made from the fact files and the policy; tests keep them fresh.
docs: .venv/installed
	.venv/bin/python -c 'from cds_service.facts.page import what_we_read; print(what_we_read(), end="")' > docs/what-we-read.md
	.venv/bin/durvalumab-cds policy show CP.PHAR.339 > docs/policies/CP.PHAR.339.md

# The service beside a bare route, on this machine (docs/benchmarks.md).
bench: .venv/installed
	.venv/bin/python -m benchmarks

# kill -9 of workers and store, at length: 10,000 calls and ten kills for each store (docs/operate.md).
crash: .venv/tested
	CDS_CRASH_CALLS=10000 CDS_CRASH_KILLS=10 .venv/bin/python -m pytest tests/operations/test_crashes.py -s

# Half an hour of load: memory, latency and rows over time (MINUTES=30, RATE=calls a second; docs/operate.md).
soak: .venv/tested
	.venv/bin/python -m benchmarks.soak --minutes $(or $(MINUTES),30) $(if $(RATE),--rate $(RATE))

# Time until ready and memory of each worker (docs/operate.md).
footprint: .venv/tested
	.venv/bin/python -m benchmarks.footprint

# What the service is made of (EXTRA=otel: with what that extra brings), as CycloneDX JSON: an environment like that of the image, without anything that only builds.
sbom: .venv/installed
	$(PYTHON) -m venv .venv/sbom
	.venv/sbom/bin/python -m pip install --quiet --disable-pip-version-check --no-compile 'cyclonedx-bom>=7'
	rm -rf .venv/image
	$(PYTHON) -m venv --without-pip .venv/image
	.venv/sbom/bin/python -m pip --python .venv/image/bin/python install --quiet --disable-pip-version-check --no-compile \
		--constraint constraints.txt '.$(if $(EXTRA),[$(EXTRA)])'
	.venv/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-file sbom.json .venv/image/bin/python
	.venv/bin/python -c "import json, cds_service; made = json.load(open('sbom.json')); \
		made['metadata']['component']['version'] = cds_service.__version__; json.dump(made, open('sbom.json', 'w'), indent=1)"

.venv/tested: .venv/installed
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) .
	touch $@

clean:
	rm -rf .venv build *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
