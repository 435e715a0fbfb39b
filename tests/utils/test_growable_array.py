"""Rows that come one by one."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.utils.growable_array import GROWTH, Rows, taken


@pytest.mark.parametrize("count", [0, 1, GROWTH, GROWTH + 1, 3 * GROWTH])
def test_gives_what_it_got(count):
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(count, 2, 3)).astype(np.float32)
    rows = Rows((2, 3), np.float32)
    for row in expected:
        rows.append(row)
    assert len(rows) == count
    np.testing.assert_array_equal(rows.array(), expected)


def test_what_was_given_away_stays_as_it_is():
    rows = Rows((2,), np.int64)
    rows.append(np.array([1, 2]))
    first = rows.array()
    for number in range(GROWTH + 1):
        rows.append(np.array([number, number]))
    assert first.tolist() == [[1, 2]]
    assert len(rows.array()) == GROWTH + 1


def test_neighbouring_rows_are_no_copy():
    array = np.arange(20).reshape(10, 2)
    part = taken(array, np.array([3, 4, 5]))
    assert part.base is not None
    np.testing.assert_array_equal(part, array[3:6])
    np.testing.assert_array_equal(taken(array, np.array([3, 5])), array[[3, 5]])
    assert taken(array, np.array([], np.int64)).shape == (0, 2)
