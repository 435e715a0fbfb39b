"""Rows that come one by one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dubfew.utils import growable_array
from dubfew.utils.growable_array import (
    BLOCK_ROWS,
    GROWTH_STEP_ROWS,
    GrowableArray,
    map_row_blocks,
    release_pages,
    take_rows,
)


@pytest.fixture
def no_memory(monkeypatch):
    """Let all but the shortest arrays go to a file."""
    monkeypatch.setattr(growable_array, "IN_MEMORY_BYTES", 1)


def make_rows(count):
    """Make random rows of 24 bytes."""
    return np.random.default_rng(0).normal(size=(count, 2, 3)).astype(np.float32)


def grow(rows):
    """Append rows one by one, and take them."""
    growing = GrowableArray(rows.shape[1:], rows.dtype)
    for row in rows:
        growing.append(row)
    return growing.take_array()


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
    np.testing.assert_array_equal(take_rows(array, np.array([-1])), array[[-1]])
    np.testing.assert_array_equal(take_rows(array, np.array([-1, 0])), array[[-1, 0]])


@pytest.mark.parametrize("count", [GROWTH_STEP_ROWS, GROWTH_STEP_ROWS + 1, 3 * GROWTH_STEP_ROWS])
def test_a_long_array_lies_in_a_file_with_the_same_rows(no_memory, count):
    expected = make_rows(count)
    array = grow(expected)
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    assert isinstance(base, np.ndarray) == (count == GROWTH_STEP_ROWS)
    np.testing.assert_array_equal(array, expected)
    # What was written into it and given back is still there.
    array[count // 2] = 7
    release_pages(array[1:])
    expected[count // 2] = 7
    np.testing.assert_array_equal(array, expected)


def test_an_array_is_empty_after_its_file_was_taken(no_memory):
    growing = GrowableArray((2, 3), np.float32)
    expected = make_rows(2 * GROWTH_STEP_ROWS + 5)
    for part in (expected, expected[:3]):
        for row in part:
            growing.append(row)
        assert len(growing) == len(part)
        np.testing.assert_array_equal(growing.take_array(), part)
        assert len(growing) == 0


def test_without_a_temporary_folder_memory_holds_the_rows(no_memory, monkeypatch):
    def refuse(**options):
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    expected = make_rows(3 * GROWTH_STEP_ROWS + 1)
    np.testing.assert_array_equal(grow(expected), expected)


def test_large_selections_lie_in_a_file(no_memory):
    expected = make_rows(2 * GROWTH_STEP_ROWS)
    rows = np.arange(len(expected))[::-1]
    selected = take_rows(grow(expected), rows)
    np.testing.assert_array_equal(selected, expected[rows])


@pytest.mark.parametrize("count", [0, 1, BLOCK_ROWS, 2 * BLOCK_ROWS + 1])
def test_blocks_of_rows_give_what_all_rows_give(no_memory, count):
    first, second = grow(make_rows(count)), make_rows(count)
    values = map_row_blocks(lambda a, b: (a - b).sum((1, 2)), first, second)
    np.testing.assert_allclose(values, (first - second).sum((1, 2)), atol=1e-6)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_file_that_is_read_through_takes_no_memory():
    row = np.zeros((478, 3), np.float32)
    growing = GrowableArray(row.shape, row.dtype)
    for number in range(4 * growable_array.IN_MEMORY_BYTES // row.nbytes):
        growing.append(row + number)
    array = growing.take_array()

    def resident() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        words = dict(line.split(":", 1) for line in lines)
        return int(words["VmRSS"].split()[0]) * 1024

    map_row_blocks(lambda rows: rows.sum((1, 2)), array)
    released = resident()
    total = float(array.sum(dtype=np.float64))
    # Without giving back, all of it stays resident; a quarter is left for other tests' threads.
    assert resident() - released > 0.75 * array.nbytes
    assert total == 478 * 3 * len(array) * (len(array) - 1) / 2
