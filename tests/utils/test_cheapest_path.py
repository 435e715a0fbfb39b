"""The cheapest sequence of states, against all sequences."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dubfew.utils.cheapest_path import find_cheapest_path


@pytest.mark.parametrize("seed", range(5))
def test_no_sequence_is_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, changes = rng.uniform(0, 1, (6, 3)), rng.uniform(0, 1, 5)

    def total(path: tuple[int, ...]) -> float:
        states = np.array(path)
        return costs[np.arange(6), states].sum() + changes[states[1:] != states[:-1]].sum()

    best = min(product(range(3), repeat=6), key=total)
    assert tuple(find_cheapest_path(costs, changes)) == best


def test_equal_costs_keep_the_state_and_nothing_has_no_path() -> None:
    assert find_cheapest_path(np.zeros((4, 2)), 0.0).tolist() == [0, 0, 0, 0]
    assert find_cheapest_path(np.zeros((0, 2)), 1.0).shape == (0,)
    assert find_cheapest_path(np.array([[3.0, 2.0]]), 1.0).tolist() == [1]
