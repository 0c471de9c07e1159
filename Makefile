# `make demo` and `make test` set up all they need, from a bare Python 3.11 or newer, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Without the last one, xdist waits for ever once a worker has been killed, for example because memory ran out.
WORKERS ?= --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test test-full coverage lint bench fuzz clean

demo: $(VENV)/ready
	$(BIN)/python examples/demo.py

# `make test FILES=tests/test_sample.py`: some of them.
test: $(VENV)/ready
	$(BIN)/python -m pytest $(WORKERS) $(FILES)

test-full: $(VENV)/ready
	$(BIN)/python -m pytest $(WORKERS) -m "full or not full" $(FILES)

# Which lines no quick test reaches; processes that tests start are measured, too.
coverage: $(VENV)/ready
	$(BIN)/python -m pytest $(WORKERS) --cov --cov-report=term:skip-covered $(FILES)

# Damaged files of every format; a stopped campaign continues. Findings are kept in out/fuzz.
fuzz: $(VENV)/ready
	PYTHONPATH=tests $(BIN)/python -m fuzz.campaign --seconds=$(or $(SECONDS),600)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready
	for name in import_time import_vgg16 inference precisions predict_files training_step pipeline built_programs; do \
	    echo "== $$name" && $(BIN)/python benchmarks/$$name.py || exit 1; \
	done

# Those with --no-deps come without what they ask for: the tests only run their networks.
$(VENV)/ready: requirements.txt setup.py
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'tfseg needs Python 3.11 or newer: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps torchfcn==1.9.7 mit_semseg==1.0.0 segmentation_models_pytorch==0.6.0
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) out build *.egg-info
