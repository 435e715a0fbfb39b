"""Lag of pictures against their sound, measured on lip gaps."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.motion_lag import estimate_lag, estimate_picture_lag, reliable_lag
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import Phone, motion_from_phones
from dubfew.utils.signal import LagEstimate

# A word with syllables of different lengths, so that only one lag fits.
STARTS = (0.2, 0.3, 0.55, 0.65, 0.9, 1.3, 1.4, 1.85, 1.95, 2.5)
PHONES = [
    Phone(symbol, start, end)
    for symbol, start, end in zip("mapaboaibe", STARTS, (*STARTS[1:], 2.8), strict=True)
]


def word(delay: float = 0.0, frames: int = 75, rate: int = 25) -> MouthMotion:
    """Return the word's motion, late by ``delay`` s."""
    times = np.arange(frames) / rate
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


@pytest.mark.parametrize("delay", [-0.3, 0.0, 0.08])
def test_a_clear_lag_is_found_with_its_probability(delay: float) -> None:
    found = estimate_picture_lag(word(0, 300, 100), word(delay))
    assert found.lag_seconds == pytest.approx(delay, abs=0.011)
    assert found.is_clear
    assert found.correction_seconds == found.lag_seconds
    assert found.r > 0.99
    assert found.r_zero == found.r if not delay else found.r_zero < found.r - 0.1


def test_a_lag_is_not_told_from_little_or_from_another_line() -> None:
    short = estimate_picture_lag(word(0, 300, 100), word(0.08, 45))
    assert not short.is_clear
    assert short.correction_seconds == 0
    # A mouth that opens and closes evenly fits at several lags.
    times = np.arange(300) / 100
    motion = word(0, 300, 100).displacement * 0
    motion[:, :, 1] = -0.1 * np.sin(2 * np.pi * 4 * times)[:, None] ** 2
    motion[:, ::2] = 0
    even = MouthMotion(motion, times)
    assert estimate_picture_lag(even, even).probability < 0.8
    reversed_word = MouthMotion(word().displacement[::-1].copy(), word().times)
    assert not estimate_picture_lag(word(0, 300, 100), reversed_word).is_clear
