# `make demo` and `make test` set up all they need, from a bare Python 3.11 or newer, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Without the last one, xdist waits for ever once a worker has been killed, for example because memory ran out.
WORKERS ?= --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test test-full test-oldest coverage lint docs dist bench fuzz clean

demo: $(VENV)/ready
	@echo "Running examples/demo.py"
	@$(BIN)/python examples/demo.py

# `make test FILES=tests/test_sample.py`: some of them.
test: $(VENV)/ready-tests
	@echo "Running the quick tests: 10 to 20 minutes on two cores; slower ones are for make test-full"
	$(BIN)/python -m pytest $(WORKERS) $(FILES)

test-full: $(VENV)/ready-tests
	@echo "Running all tests, networks at full size too: several hours on two cores"
	$(BIN)/python -m pytest $(WORKERS) -m "full or not full" $(FILES)

# The core tests with the oldest versions that setup.py allows, in an environment of their own.
CORE := tests/test_sample.py $(addprefix tests/test_tfseg/,layers surgery rewrites prediction drawing \
    test_evaluation.py test_images.py test_losses.py test_metrics.py test_optimizers.py training/test_train.py) \
    $(addprefix tests/test_converters/,names reading weights)
test-oldest: $(VENV)-oldest/ready
	@echo "Running the core tests with the versions of requirements-oldest.txt"
	$(VENV)-oldest/bin/python -m pytest $(WORKERS) $(or $(FILES),$(CORE))

# Which lines no quick test reaches; processes that tests start are measured, too.
coverage: $(VENV)/ready-tests
	$(BIN)/python -m pytest $(WORKERS) --cov --cov-report=term:skip-covered $(FILES)

# Damaged files of every format; a stopped campaign continues. Findings are kept in out/fuzz.
fuzz: $(VENV)/ready-tests
	PYTHONPATH=tests $(BIN)/python -m fuzz.campaign --seconds=$(or $(SECONDS),600)

lint: $(VENV)/ready-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site in out/site; a broken link or a missing reference ends it.
docs: $(VENV)/ready-docs
	$(BIN)/python -m mkdocs build --quiet --strict --site-dir out/site
	@echo "out/site/index.html"

# The two archives of a release in out/dist, checked as a package index checks them.
dist: $(VENV)/ready
	rm -rf out/dist
	$(PIP) build==1.6.1 twine==7.0.0
	$(BIN)/python -m build --outdir out/dist .
	$(BIN)/python -m twine check --strict out/dist/*

bench: $(VENV)/ready-tests
	for name in import_time import_vgg16 convert_command growth inference precisions predict_files training_step pipeline built_programs; do \
	    echo "== $$name" && $(BIN)/python benchmarks/$$name.py || exit 1; \
	done

$(VENV)/ready: requirements.txt setup.py
	@echo "Setting up $(VENV): TensorFlow and Keras, about 2 GB"
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'tfseg needs Python 3.11 or newer: make PYTHON=python3.12')"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip setuptools wheel
	@$(PIP) --no-compile -r requirements.txt
	@PYTHONWARNINGS=ignore $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Those with --no-deps come without what they ask for: the tests only run their networks. What the demo left uncompiled
# is compiled, because Python warns of others' escapes while it compiles, and a warning fails a test.
$(VENV)/ready-tests: $(VENV)/ready requirements-tests.txt
	@echo "Setting up $(VENV) for tests: torch, other public implementations and engines, some GB"
	@$(PIP) -r requirements-tests.txt
	@$(PIP) --no-deps torchfcn==1.9.7 mit_semseg==1.0.0 segmentation_models_pytorch==0.6.0
	-@$(BIN)/python -W ignore -m compileall -qq -j 0 $(VENV)/lib
	@touch $@

$(VENV)-oldest/ready: requirements-oldest.txt setup.py
	@echo "Setting up $(VENV)-oldest: TensorFlow 2.16 and Keras, about 2 GB"
	@$(PYTHON) -m venv $(VENV)-oldest
	@$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-oldest.txt
	@$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/ready-docs: $(VENV)/ready requirements-docs.txt
	@echo "Setting up $(VENV) for the documentation: mkdocs"
	@$(PIP) -r requirements-docs.txt
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-oldest out build *.egg-info
