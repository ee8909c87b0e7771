# make serve — environment, demo survey, dashboard.  make demo — a larger demo survey.  make test — environment and the whole suite.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTED := $(VENV)/.installed-tests
PIP := $(BIN)/python -m pip
INSTALL = sh -c 'if test -x $(BIN)/uv && $(BIN)/uv pip install --quiet --python $(BIN)/python \
	--constraint constraints.txt "$$@"; then :; else $(PIP) install --quiet \
	--disable-pip-version-check --constraint constraints.txt "$$@"; fi' install
READ := dashboard.app, msfa_core.spine.demo, msfa_core.search.two_stages, msfa_core.slam.labels, \
	msfa_core.templates.matching, msfa_core.balmer.fit, msfa_core.photometry.gaia
PEERS := lmfit==1.3.4 asteval==1.0.10 uncertainties==3.2.3 dill==0.4.1 fitsio==1.4.2 \
	redrock==0.21.0 h5py==3.16.0
PORT ?= 5006
SURVEY ?=

.PHONY: serve demo test docs bench bench-peers bench-ui venv lint clean

venv: $(TESTED)

# What serving needs. Torch comes by pip, which finds its processor build where the platform
# offers one; the rest by uv, several times faster, or by pip where there is no uv. uv leaves it to
# the first import to translate the modules: what serving imports is translated here, once.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the environment of constraints.txt (a minute or two, nothing the next time)"
	@$(PIP) install --quiet --disable-pip-version-check --constraint constraints.txt torch
	@$(PIP) install --quiet --disable-pip-version-check uv 2>/dev/null || true
	@$(INSTALL) --editable .
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c "import $(READ)"
	@touch $(STAMP)

$(TESTED): $(STAMP)
	@echo "adding what the tests need"
	@$(INSTALL) --editable ".[test,docs]"
	@touch $(TESTED)

serve: $(STAMP)
	@$(BIN)/msfa serve $(SURVEY) --port $(PORT)

demo: $(STAMP)
	@$(BIN)/msfa demo

lint: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# All of them, whatever becomes of the first: one run says everything that fails. Two processes each:
# with three, whose browsers draw without graphics cards, two cores gain nothing. Modules are
# translated once, not at each of the hundreds of starts of a program; kernels are compiled, and tests
# translated beside that, not in each process. Unit tests wait for others (a kill, a server, a
# disk) for a sixth of their time: types and notebooks, which wait for nobody, are looked at in it.
# What runs notebooks takes four seconds to import, and is loaded where there are any.
# Modules with slow tests come first (tests/conftest.py): xdist would begin with those of many tests.
test: export PYTHONDONTWRITEBYTECODE =
test: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@failed=; said=$$(mktemp); told=$$(mktemp); nice -n 15 $(BIN)/mypy >"$$said" 2>&1 & types=$$!; \
	$(BIN)/python -c "from msfa_core.spine.ready import compile_kernels as f; f()" & kernels=$$!; \
	$(BIN)/python -m pytest -qq -p no:nbmake --collect-only >/dev/null 2>&1; wait $$kernels; \
	OMP_NUM_THREADS=1 nice -n 5 $(BIN)/python -m pytest -q --nbmake notebooks >"$$told" 2>&1 & books=$$!; \
	$(BIN)/python -m pytest -q -p no:nbmake -n 2 --dist loadscope --no-loadscope-reorder -m "not benchmark" --ignore tests/ui || failed="$$failed unit"; \
	wait $$books || failed="$$failed notebook"; cat "$$told"; \
	$(BIN)/python -m pytest -q -p no:nbmake -n 2 --dist worksteal -m "not benchmark" tests/ui || failed="$$failed browser"; \
	wait $$types || failed="$$failed types"; cat "$$said"; rm -f "$$said" "$$told"; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

# The documents and the library as a site, in site/.
docs: $(TESTED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# One table: what a user would pick, its rate, ours, their ratio, the limit. A run is kept in
# .benchmarks. One thread: processor time counts those that wait for each other, too.
bench: $(TESTED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --benchmark-quiet -m peer tests/benchmarks

# Peers that nothing else needs, in a folder of their own.
bench-peers: $(TESTED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--target $(VENV)/peers --upgrade $(PEERS)

# From key to painted star in Chromium; SURVEY names a survey of one's own.
bench-ui: $(TESTED)
	MSFA_BENCH_SURVEY=$(SURVEY) $(BIN)/python -m pytest -q -s -m benchmark tests/benchmarks/bench_ui.py

clean:
	rm -rf $(VENV) data/demo data/demo-*
