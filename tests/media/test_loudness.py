"""Loudness: the values of EBU Tech 3341's first test signals, in mono."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.media import Audio
from dubfew.media.loudness import measure_loudness


def sine(*parts: tuple[float, float], rate: int = 48_000, hertz: float = 1000.0) -> Audio:
    """A tone of several levels, dB full scale, for some seconds each."""
    gains = np.concatenate([np.full(round(s * rate), 10 ** (db / 20)) for db, s in parts])
    wave = np.sin(2 * np.pi * hertz * np.arange(len(gains)) / rate)
    return Audio((gains * wave).astype(np.float32), rate)


# A tone in one channel is 3.01 LU below that in two, which Tech 3341 has.
@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_a_tone_has_its_level(rate):
    found = measure_loudness(sine((-23, 3), rate=rate))
    assert found.integrated == pytest.approx(-23 - 3.01, abs=0.1)
    assert found.true_peak == pytest.approx(-23, abs=0.1)


@pytest.mark.slow
def test_quiet_parts_do_not_count():
    # Case 3 of Tech 3341, shorter: -36 dB lies below the relative gate.
    found = measure_loudness(sine((-36, 2), (-23, 20), (-36, 2)))
    assert found.integrated == pytest.approx(-23 - 3.01, abs=0.15)
    assert measure_loudness(sine((-80, 1), (-23, 15))).integrated == pytest.approx(-26, abs=0.2)


def test_peaks_lie_between_samples():
    # A quarter of the rate with a phase of 45 degrees: no sample meets the crest.
    wave = np.sin(np.pi / 2 * np.arange(4800) + np.pi / 4).astype(np.float32)
    assert np.abs(wave).max() < 0.71
    assert measure_loudness(Audio(wave, 48_000)).true_peak == pytest.approx(0, abs=0.6)


def test_silence_has_none():
    found = measure_loudness(Audio(np.zeros(48_000, np.float32), 48_000))
    assert (found.integrated, found.true_peak) == (-math.inf, -math.inf)
    assert measure_loudness(Audio(np.zeros(0, np.float32), 48_000)).integrated == -math.inf
