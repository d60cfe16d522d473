# Two commands do everything on a fresh machine with Python 3.11 or newer:
#
#     make demo     install the plain package, screen the packaged sample, say where the report is
#     make test     install what training and testing need, check the code, run all tests
#
# Each has an environment of its own, so that what `make demo` measures is what a user gets.

PYTHON ?= python3
DATA ?= ../shared/data
BENCH_OUT ?= runs/bench-small
PLAIN_LIMIT_MB := 640
FUZZ_SECONDS ?= 3
# What the files in a wheel are dated by: the last commit, or 1980 where there is none.
EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 315532800)
# Test files that run at a time, each with one thread for its arithmetic: more would wait for each other.
JOBS ?= 2
PEERS := orthanc orthanc-dicomweb dcmtk dicom3tools poppler-utils chromium

# An environment of your own in .venv is left alone; the plain install then goes to .venv-plain.
PLAIN := $(if $(wildcard .venv/.plain),.venv,$(if $(wildcard .venv),.venv-plain,.venv))
TEST := .venv-test
PACKAGE := pyproject.toml $(shell find src -type f -not -path '*/__pycache__/*')

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint peers bench bench-page bench-node bench-faults bench-training bench-archive \
	picture size check-plain fuzz wheel check-wheel lock audit-packages sbom clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST)

demo: $(PLAIN)/.plain  ## screen the packaged sample and say where the report is
	$(PLAIN)/bin/tamperscan demo --out demo-report

test: lint  ## check the code and run the tests
	OMP_NUM_THREADS=1 $(TEST)/bin/python -m pytest -n $(JOBS) --dist loadfile -m "not slow"

test-slow: $(TEST)/.test  ## run the few tests that take longest, which make test leaves out
	OMP_NUM_THREADS=1 $(TEST)/bin/python -m pytest -n $(JOBS) -m slow

lint: $(TEST)/.test  ## check style and types
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/mypy

peers:  ## install what tests talk to for real: a PACS, DICOM tools, a browser (Debian, as root; skipped elsewhere)
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PEERS) \
			>/dev/null || echo "Not all of $(PEERS) could be installed: tests that need them are skipped."; \
	else echo "Tests that need one of $(PEERS) are skipped where it is missing."; fi

bench: $(TEST)/.test  ## measure speed, false alarms, real tampered scans, and compare detectors, with the scans in DATA
	$(TEST)/bin/tamperscan bench speed --data $(DATA)
	$(TEST)/bin/tamperscan bench authentic --data $(DATA)
	$(TEST)/bin/tamperscan bench ctgan --data $(DATA)
	$(TEST)/bin/tamperscan bench --data $(DATA) --preset small --out $(BENCH_OUT)
	$(MAKE) bench-page

bench-page: $(TEST)/.test  ## take pictures of every view of the page, to be looked at (needs chromium)
	$(TEST)/bin/python tests/serve/web/page_pictures.py --data $(DATA) --out runs/bench-page

bench-faults: $(TEST)/.test  ## kill every command, fill its disk, take its memory, cut its line (an hour; as root for small disks)
	$(TEST)/bin/tamperscan bench faults --out runs/bench-faults --data $(DATA) --write docs/robustness.md

bench-node: $(TEST)/.test  ## kill the node 100 times, and time it beside DCMTK's storescp (needs dcmtk)
	$(TEST)/bin/tamperscan bench node --out runs/bench-node

bench-training: $(TEST)/.test  ## time the loading of crops, and a step of training beside what the machine can do
	$(TEST)/bin/tamperscan bench training --data $(DATA) --write docs/results.md

bench-archive: $(TEST)/.test  ## screen archives with one worker and two, watch their memory, and kill their runs 20 times
	$(TEST)/bin/tamperscan bench archive --data $(DATA) --out runs/bench-archive

picture: demo  ## make the picture of a finding that the README shows
	mkdir -p docs/images
	cp "$$(ls -t demo-report/*/finding_01.png | head -n 1)" docs/images/finding.png

size: $(PLAIN)/.plain  ## print how much room a plain install takes, and its largest packages
	@du -sm $(PLAIN) | cut -f1 | sed 's/$$/ MB in all/'
	@du -sm $(PLAIN)/lib/python3*/site-packages/* | sort -rn | head -n 10 | sed 's|$(PLAIN)/lib/.*/site-packages/||'

check-plain: $(PLAIN)/.plain  ## fail if a plain install is too large, or holds torch or CUDA
	@test "$$(du -sm $(PLAIN) | cut -f1)" -lt $(PLAIN_LIMIT_MB) \
		|| { echo "The plain install takes $(PLAIN_LIMIT_MB) MB or more; see make size."; exit 1; }
	@! $(PLAIN)/bin/python -m pip list --format=freeze | grep -iE '^(torch|triton|nvidia|cuda)' \
		|| { echo "These packages are no part of a plain install."; exit 1; }
	@echo "The plain install takes $$(du -sm $(PLAIN) | cut -f1) MB and holds no torch and no CUDA package."

fuzz: $(TEST)/.fuzz  ## try hostile files on everything that reads files, FUZZ_SECONDS for each kind (counts add up)
	OMP_NUM_THREADS=1 $(TEST)/bin/python -m fuzz run --seconds $(FUZZ_SECONDS) --data $(DATA)

wheel:  ## build the wheel into dist; the same source gives the same bytes, wherever it lies
	SOURCE_DATE_EPOCH=$(EPOCH) $(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist .

check-wheel:  ## build the wheel twice, in folders and under permissions of other kinds, and compare
	PYTHON=$(PYTHON) EPOCH=$(EPOCH) requirements/check-wheel.sh

lock:  ## write requirements/*.txt anew: the newest versions that fit, with hashes (needs uv)
	@for extra in plain serve archive; do \
		option=$$([ $$extra = plain ] || echo "--extra $$extra"); \
		uv pip compile pyproject.toml $$option --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
			--no-header --no-annotate --no-emit-index-url --output-file requirements/$$extra.txt || exit 1; done

audit-packages:  ## ask for known faults in the locked packages (needs pip-audit, and its service)
	@for extra in plain serve archive; do \
		pip-audit --strict --require-hashes --disable-pip --requirement requirements/$$extra.txt || exit 1; done

sbom:  ## write dist/sbom.json, the parts of the node's install in CycloneDX's form (needs cyclonedx-bom)
	mkdir -p dist
	cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON --output-file dist/sbom.json \
		requirements/serve.txt

clean:  ## remove what the targets above have made
	rm -rf .venv-plain .venv-test demo-report build dist .mypy_cache .pytest_cache .ruff_cache
	[ ! -e .venv/.plain ] || rm -rf .venv

$(PLAIN)/.plain: $(PACKAGE) README.md LICENSE NOTICE
	$(PYTHON) -m venv $(PLAIN)
	$(PLAIN)/bin/python -m pip install --quiet .
	@touch $@

# Torch comes first and alone: asked for together with other packages, pip may choose a build with gigabytes of CUDA.
$(TEST)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(TEST)/bin/python -m pip install --quiet -c constraints.txt -e '.[train,forge,latent,bench,serve,archive,fast,dev]'
	@touch $@

$(TEST)/.fuzz: $(TEST)/.test
	$(TEST)/bin/python -m pip install --quiet -c constraints.txt -e '.[fuzz]'
	@touch $@
