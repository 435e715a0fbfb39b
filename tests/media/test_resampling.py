"""Polyphase resampling: SciPy's values, and what follows from the definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from dubfew.media import resampling
from dubfew.media.resampling import resample_polyphase

SAMPLES = np.random.default_rng(0).standard_normal(5003).astype(np.float32)


@pytest.mark.parametrize(("up", "down"), [(1, 3), (160, 441), (2, 1), (3, 2), (1, 6)])
@pytest.mark.parametrize("length", [1, 7, 5003])
def test_values_are_those_of_scipy(up: int, down: int, length: int, monkeypatch):
    monkeypatch.setattr(resampling, "OUTPUT_BLOCK_SAMPLES", 500)
    result = resample_polyphase(SAMPLES[:length], up, down)
    expected = resample_poly(SAMPLES[:length], up, down)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=2e-6)


def test_a_constant_stays_one_inside():
    result = resample_polyphase(np.full(3000, 0.25, np.float32), 1, 3)
    np.testing.assert_allclose(result[20:-20], 0.25, atol=1e-6)
