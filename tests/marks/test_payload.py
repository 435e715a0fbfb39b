"""Ids come back, damaged ones too, and noise is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubfew.errors import DubfewError
from dubfew.marks.payload import BITS, DOUBTFUL, new_id, read, word


def certainty_of(identifier: str) -> np.ndarray:
    return 1 - 2.0 * word(identifier)


@given(st.binary(min_size=5, max_size=5))
def test_every_id_comes_back(data: bytes) -> None:
    found = read(certainty_of(data.hex()))
    assert found is not None
    assert (found.id, found.corrected) == (data.hex(), 0)


@given(st.sets(st.integers(0, BITS - 1), max_size=5))
def test_doubtful_bits_are_corrected(wrong: set[int]) -> None:
    soft = certainty_of("0123456789")
    soft[list(wrong)] *= -0.1
    found = read(soft)
    assert found is not None
    assert (found.id, found.corrected) == ("0123456789", len(wrong))


def test_certain_errors_are_not() -> None:
    soft = certainty_of("0123456789") * np.linspace(1, 2, BITS)
    soft[-1] *= -1
    assert read(soft) is None


def test_noise_is_no_id() -> None:
    rng = np.random.default_rng(0)
    assert [read(rng.normal(size=BITS)) for _ in range(50)] == [None] * 50
    assert 2.0 ** (DOUBTFUL - 32) < 1e-6  # what the documentation promises


def test_ids_are_new_and_words_are_even() -> None:
    assert len({new_id() for _ in range(100)}) == 100
    assert 30 < np.mean([word(new_id()).sum() for _ in range(50)]) < 42


@pytest.mark.parametrize("wrong", ["", "xyz", "0123", "0123456789ab", "01 2345678 9", "ABCDEF0123"])
def test_what_is_no_id(wrong: str) -> None:
    with pytest.raises(DubfewError, match="is not 10 hex digits"):
        word(wrong)
