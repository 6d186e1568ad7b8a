# make demo: a trained model and a picture from it.  make check: lint and the quick tests, two minutes; make test: the fast
# suite; make slow: the rest.
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(sort $(wildcard plugins/*))
PROJECTS := . $(PLUGINS)
EDITABLE := $(foreach p,$(PROJECTS),-e ./$(p))
TOMLS := constraints.txt $(addsuffix /pyproject.toml,$(PROJECTS))
TEST_TOOLS := pytest pytest-xdist pandas pyarrow soundfile ruff mypy scikit-learn scipy hmmlearn zuko nflows normflows diffusers jsonschema tomlkit tensorboard matplotlib torchmetrics POT prdc torchdiffeq pyod
DOCS_TOOLS := mkdocs mkdocs-material mkdocstrings-python ruff
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo check test slow lint wheels bench readme docs clean

demo: .venv/installed
	$(BIN)/zoo load ddpm-mnist
	$(BIN)/zoo sample ddpm-mnist -n 64 --seed 0 --out samples.png
	@echo "64 digits: $(CURDIR)/samples.png"

check: .venv/tested lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not long and not process and not large"

test: .venv/tested
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

slow: .venv/tested
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n 2 --dist loadfile

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/tables.py --check
	$(BIN)/python docs/reference.py --check
	$(BIN)/python docs/faults.py --check

# zoo-core[all] as a reader would install it: from wheels, into an environment of its own; then two plugins only.
wheels: .venv/installed
	rm -rf dist .venv-wheels
	for p in $(PROJECTS); do $(BIN)/python -m pip wheel --quiet --no-deps -w dist ./$$p || exit 1; done
	$(PYTHON) -m venv .venv-wheels
	.venv-wheels/bin/python -m pip install --quiet -c constraints.txt --find-links dist "zoo-core[all]"
	cd dist && ../.venv-wheels/bin/zoo load ddpm-mnist
	cd dist && ../.venv-wheels/bin/zoo sample ddpm-mnist -n 4 --steps 5 --out four.png && test -s four.png
	.venv-wheels/bin/python -m pip uninstall --quiet --yes $(filter-out zoo-gmm zoo-metrics,$(notdir $(PLUGINS)))
	cd dist && ../.venv-wheels/bin/zoo list | grep "zoo-ddpm is not installed"
	cd dist && ../.venv-wheels/bin/zoo sample gmm-digits -n 4 --out four-more.png && test -s four-more.png

bench: .venv/tested
	$(BIN)/python -m pip install --quiet -c constraints.txt ctgan
	status=0; OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run.py || status=$$?; $(BIN)/python docs/tables.py && exit $$status

readme: .venv/installed
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/reference.py

# The website, into site/. With tests/no_network on its path Python refuses a connection to any other machine.
docs: .venv/documented
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=tests/no_network $(BIN)/mkdocs build --strict

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python $(TOMLS)
	$(BIN)/python -m pip install --quiet -c constraints.txt $(EDITABLE)
	@touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt $(TEST_TOOLS)
	@touch $@

.venv/documented: .venv/bin/python constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt $(DOCS_TOOLS)
	@touch $@

clean:
	rm -rf site .venv .venv-wheels dist samples.png
