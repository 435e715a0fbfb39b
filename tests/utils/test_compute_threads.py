"""How threads of OpenMP wait, and how many OpenBLAS has."""

import json
import os
import subprocess
import sys

import pytest

from dubfew.utils.compute_threads import (
    BLAS_VARIABLES,
    WAITING_VARIABLES,
    set_passive_waiting,
    use_one_blas_thread,
)

# Prints the variables that a fresh process has after `import dubfew`, and those of its child.
PROGRAM = """
import json, os, subprocess, sys
import dubfew
names = {names!r}
child = "import json, os; print(json.dumps([os.environ.get(name) for name in {names!r}]))"
told = json.loads(subprocess.check_output([sys.executable, "-c", child]))
print(json.dumps([[os.environ.get(name) for name in names], told, "torch" in sys.modules]))
"""


def run_fresh(**variables: str) -> list:
    environment = {
        name: value for name, value in os.environ.items() if name not in WAITING_VARIABLES
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(names=WAITING_VARIABLES)],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_import_of_dubfew_sets_passive_waiting_before_torch_is_imported() -> None:
    here, child, torch_is_imported = run_fresh()
    assert here == child == ["PASSIVE", None, None]
    assert not torch_is_imported


@pytest.mark.slow
def test_users_setting_stands() -> None:
    here, child, _ = run_fresh(GOMP_SPINCOUNT="9000")
    assert here == child == [None, "9000", None]


@pytest.mark.parametrize("name", WAITING_VARIABLES)
def test_any_variable_of_the_user_counts(name: str) -> None:
    environment = {name: "7"}
    assert not set_passive_waiting(environment, modules=())
    assert environment == {name: "7"}


def test_torch_that_was_imported_before_does_not_obey() -> None:
    environment: dict[str, str] = {}
    assert not set_passive_waiting(environment, modules=("torch",))
    # Processes that are started later do.
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE"}
    assert set_passive_waiting({}, modules=("numpy",))


def test_one_thread_for_small_matrices() -> None:
    environment: dict[str, str] = {}
    use_one_blas_thread(environment)
    assert environment == {"OPENBLAS_NUM_THREADS": "1"}


@pytest.mark.parametrize("name", BLAS_VARIABLES)
def test_users_number_of_threads_stands(name: str) -> None:
    environment = {name: "4"}
    use_one_blas_thread(environment)
    assert environment == {name: "4"}


@pytest.mark.slow
def test_the_command_line_limits_before_numpy_is_imported() -> None:
    code = (
        "import sys; sys.argv = ['dubfew', '--version']; from dubfew.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "import os; print(os.environ.get('OPENBLAS_NUM_THREADS'), 'numpy' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in BLAS_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "1 False"
