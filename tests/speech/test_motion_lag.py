"""Lag of pictures against their sound, measured on lip gaps."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.motion_lag import estimate_lag, reliable_lag
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import Phone, motion_from_phones
from dubfew.utils.signal import LagEstimate

# A word with syllables of different lengths, so that only one lag fits.
STARTS = (0.2, 0.3, 0.55, 0.65, 0.9, 1.3, 1.4, 1.85, 1.95, 2.5)
PHONES = [
    Phone(symbol, start, end)
    for symbol, start, end in zip("mapaboaibe", STARTS, (*STARTS[1:], 2.8), strict=True)
]


def word(delay: float = 0.0) -> MouthMotion:
    """Return the word's motion, late by ``delay`` s."""
    times = np.arange(75) / 25
    motion = motion_from_phones(PHONES, times - delay, load_viseme_basis())
    return MouthMotion(motion.displacement, times)


@pytest.mark.parametrize("delay", [-0.12, 0.0, 0.16])
def test_the_lag_of_a_picture_is_found(delay: float) -> None:
    estimate = estimate_lag(word(), word(delay))
    assert estimate.lag_seconds == pytest.approx(delay, abs=0.011)
    assert reliable_lag(estimate) == pytest.approx(estimate.lag_seconds if delay else 0.0)


def test_lags_outside_of_the_range_are_not_found() -> None:
    assert abs(estimate_lag(word(), word(0.16), max_lag=0.1).lag_seconds) < 0.1


def test_a_doubtful_lag_is_not_corrected() -> None:
    assert reliable_lag(LagEstimate(lag_seconds=0.2, r_best=0.5, r_zero=0.4)) == 0.0
