"""Compiled loops, and the compiler that is loaded beside other work."""

import numpy as np
import pytest

from dubfew.utils.jit import compiler_loaded_beside, njit_cached


@njit_cached
def sum_squares(values: np.ndarray) -> float:
    total = 0.0
    for value in values:
        total += value * value
    return total


def test_a_loop_runs_while_the_compiler_is_loaded() -> None:
    with compiler_loaded_beside():
        assert sum_squares(np.arange(4.0)) == 14
    assert sum_squares(np.arange(5)) == 30  # integers: compiled afterwards


def test_an_error_of_the_block_is_the_callers() -> None:
    with pytest.raises(KeyError, match="block"), compiler_loaded_beside():
        raise KeyError("block")
