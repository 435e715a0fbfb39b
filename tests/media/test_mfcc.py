"""Cepstra against values that python_speech_features 0.6 gave."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.media.mfcc import mfcc, mfcc_filterbank

# python_speech_features.mfcc(sound(), 16000), windows 0 and 9 of 11.
FIRST = [
    *(19.646699, 7.556181, -19.35534, 11.657497, 31.612611, -13.199447, -39.833265),
    *(-8.565178, 0.991637, -36.657687, -43.251807, -10.355667, -3.835823),
]
TENTH = [
    *(19.747957, -3.542227, 0.898323, -3.09597, 58.083327, -20.3993, -26.104712),
    *(-5.79296, 3.148847, -25.981815, -49.027556, -1.059102, -6.182695),
]


def sound() -> np.ndarray:
    """Two tones and a chirp, as a 16-bit file has them. [2000]"""
    n = np.arange(2000)
    tones = 6000 * np.sin(2 * np.pi * 220 * n / 16000)
    tones += 2500 * np.sin(2 * np.pi * 1870 * n / 16000 + 1)
    return np.rint(tones + 300 * np.sin(n * n / 900))


def test_the_values_of_python_speech_features() -> None:
    found = mfcc(sound())
    assert found.shape == (11, 13)
    assert found[0] == pytest.approx(FIRST, abs=1e-5)
    assert found[9] == pytest.approx(TENTH, abs=1e-5)


def test_a_part_is_as_in_the_whole() -> None:
    samples = sound()
    whole, part = mfcc(samples), mfcc(samples[640:], previous_sample=samples[639])
    np.testing.assert_allclose(part, whole[4:], atol=1e-9)
    assert abs(mfcc(samples[640:])[0] - whole[4]).max() > 1e-3


def test_silence_is_finite() -> None:
    found = mfcc(np.zeros(720))
    assert np.isfinite(found).all()
    assert found[:, 0] == pytest.approx(np.log(np.finfo(float).eps))


@pytest.mark.parametrize(("samples", "rows"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2)])
def test_whole_windows_only(samples: int, rows: int) -> None:
    assert mfcc(np.ones(samples)).shape == (rows, 13)


def test_filters_cover_the_spectrum() -> None:
    filters = mfcc_filterbank()
    assert filters.shape == (257, 26)
    assert (filters.max(axis=0) == 1).all()
