# make demo | test | lint | bench: each sets up .venv by itself, from any clean checkout.
#
# Variables:
#   PYTHON       the Python to use; default: the first of 3.11, 3.10, 3.12 that is there
#   JOBS         test processes (default 2)
#   TORCH_INDEX  one more package index for pip. On Linux, PyPI's torch brings gigabytes of CUDA;
#                without an NVIDIA GPU, save them with
#                make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
#                Empty by default: then nothing but pip's own configuration counts.
#   BENCH        options for all benchmarks of make bench, such as --out FOLDER

PYTHON ?=
JOBS ?= 2
TORCH_INDEX ?=

BIN := .venv/bin
READY := .venv/.dubfew-installed

# These take hours together on two cores. BENCH is for options that all of them have.
BENCHMARKS := reenact speed memory steps footage_length ablations methods adapt_curve adapt_cost
BENCH ?=

# The machine's cores are shared out by JOBS; threads inside each process would only collide.
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: demo test lint bench clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/dubfew demo

test: $(READY)
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name $(BENCH); done

clean:
	rm -rf .venv demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis dubfew.egg-info

# Installed again whenever what is to be installed changes.
$(READY): pyproject.toml constraints.txt
	@for python in $(PYTHON) python3.11 python3.10 python3.12 python3; do \
	    if "$$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
	        2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "dubfew needs Python 3.10, 3.11 or 3.12 and found none: install one of them, or" \
	        "name it with 'make PYTHON=/path/to/python3.11'" >&2; exit 1; \
	fi; \
	echo "Setting up .venv with $$("$$found" --version)"; \
	"$$found" -m venv --clear .venv || { \
	    echo "Python's venv module is incomplete: on Debian and Ubuntu 'apt install" \
	        "python3-venv' adds it" >&2; exit 1; }
	$(BIN)/python -m pip install --progress-bar off --constraint constraints.txt \
	    $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[dev]'
	@touch $@
