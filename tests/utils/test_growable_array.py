"""Rows that come one by one."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.utils.growable_array import GROWTH_STEP_ROWS, GrowableArray, take_rows


@pytest.mark.parametrize(
    "count", [0, 1, GROWTH_STEP_ROWS, GROWTH_STEP_ROWS + 1, 3 * GROWTH_STEP_ROWS]
)
def test_gives_what_it_got(count):
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(count, 2, 3)).astype(np.float32)
    rows = GrowableArray((2, 3), np.float32)
    for row in expected:
        rows.append(row)
    assert len(rows) == count
    np.testing.assert_array_equal(rows.take_array(), expected)


def test_what_was_given_away_stays_as_it_is():
    rows = GrowableArray((2,), np.int64)
    rows.append(np.array([1, 2]))
    first = rows.take_array()
    for number in range(GROWTH_STEP_ROWS + 1):
        rows.append(np.array([number, number]))
    assert first.tolist() == [[1, 2]]
    assert len(rows.take_array()) == GROWTH_STEP_ROWS + 1


def test_neighbouring_rows_are_no_copy():
    array = np.arange(20).reshape(10, 2)
    part = take_rows(array, np.array([3, 4, 5]))
    assert part.base is not None
    np.testing.assert_array_equal(part, array[3:6])
    np.testing.assert_array_equal(take_rows(array, np.array([3, 5])), array[[3, 5]])
    assert take_rows(array, np.array([], np.int64)).shape == (0, 2)
