# make demo | test | test-fast | lint | docs | bench: each sets up .venv by itself, from any clean
# checkout. On Windows run make in Git Bash.
#
# Variables:
#   PYTHON       the Python to use; default: the first of 3.11, 3.10, 3.12 that is there
#   JOBS         test processes (default 2)
#   TORCH_INDEX  one more package index for pip. On Linux, PyPI's torch brings gigabytes of CUDA;
#                without an NVIDIA GPU, save them with
#                make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
#                Empty by default: then nothing but pip's own configuration counts.
#   BENCH        options of make bench, such as BENCH='--footage CLIPS --minutes 60'

PYTHON ?=
JOBS ?= 2
TORCH_INDEX ?=

# Where a virtual environment keeps its programs.
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY := .venv/.dubfew-installed
DOCS_READY := .venv/.dubfew-docs-installed
PIP_INSTALL = $(BIN)/python -m pip install --progress-bar off --constraint constraints.txt \
    $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# The benchmarks take hours together on two cores.
BENCH ?=

# The machine's cores are shared out by JOBS; threads inside each process would only collide.
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: demo test test-fast lint lint-style lint-types lint-imports lint-spelling docs bench clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/dubfew demo --overwrite

test: $(READY)
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS)

# Without the tests that are marked as slow.
test-fast: $(READY)
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS) -m "not slow and not e2e and not gpu"

# The four parts are also the hooks of .pre-commit-config.yaml.
lint: lint-style lint-types lint-imports lint-spelling

lint-style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: $(READY)
	$(BIN)/mypy

lint-imports: $(READY)
	$(BIN)/lint-imports

lint-spelling: $(READY)
	$(BIN)/codespell

# The documentation, into site/. Warnings are errors.
docs: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(READY)
	$(ONE_THREAD) $(BIN)/python -m benchmarks $(BENCH)

clean:
	rm -rf .venv demo site build dist .import_linter_cache .pytest_cache .mypy_cache .ruff_cache .hypothesis dubfew.egg-info

# Installed again whenever what is to be installed changes.
$(READY): pyproject.toml constraints.txt
	@for python in $(PYTHON) python3.11 python3.10 python3.12 python3 python; do \
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
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

$(DOCS_READY): $(READY)
	$(PIP_INSTALL) --editable '.[docs]'
	@touch $@
