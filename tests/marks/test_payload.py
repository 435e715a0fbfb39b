"""The payload: ids are decoded, errors corrected, and noise is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubfew.errors import DubfewError
from dubfew.marks.payload import (
    NUM_ERROR_PATTERNS,
    PAYLOAD_BITS,
    decode_payload,
    encode_payload,
    generate_watermark_id,
)


def soft_bits_of(identifier: str) -> np.ndarray:
    return 1 - 2.0 * encode_payload(identifier)


@given(st.binary(min_size=5, max_size=5))
def test_every_id_comes_back(data: bytes) -> None:
    found = decode_payload(soft_bits_of(data.hex()))
    assert found is not None
    assert (found.watermark_id, found.num_corrected) == (data.hex(), 0)


@given(st.sets(st.integers(0, PAYLOAD_BITS - 1), max_size=9))
def test_doubtful_bits_are_corrected(wrong: set[int]) -> None:
    soft = soft_bits_of("0123456789")
    soft[list(wrong)] *= -0.1
    found = decode_payload(soft)
    assert found is not None
    assert (found.watermark_id, found.num_corrected) == ("0123456789", len(wrong))


def test_the_most_probable_words_are_tried_first() -> None:
    """One certain bit is as probable as many doubtful ones: the sum of certainties decides."""
    soft = soft_bits_of("0123456789") * np.linspace(1, 2, PAYLOAD_BITS)
    soft[-1] *= -1  # the most certain bit alone, which 72 words precede
    found = decode_payload(soft)
    assert found is not None
    assert (found.watermark_id, found.num_corrected) == ("0123456789", 1)
    soft[[20, 40, 60]] *= -1  # six of twelve would be found, four of the certain ones are too many
    assert decode_payload(soft) is None


def test_noise_does_not_decode() -> None:
    rng = np.random.default_rng(0)
    assert [decode_payload(rng.normal(size=PAYLOAD_BITS)) for _ in range(50)] == [None] * 50
    assert NUM_ERROR_PATTERNS / 2.0**32 < 2e-6  # what the documentation promises


def test_ids_are_new_and_words_are_even() -> None:
    assert len({generate_watermark_id() for _ in range(100)}) == 100
    assert 30 < np.mean([encode_payload(generate_watermark_id()).sum() for _ in range(50)]) < 42


@pytest.mark.parametrize("wrong", ["", "xyz", "0123", "0123456789ab", "01 2345678 9", "ABCDEF0123"])
def test_malformed_ids_are_refused(wrong: str) -> None:
    with pytest.raises(DubfewError, match="is not 10 hex digits"):
        encode_payload(wrong)
