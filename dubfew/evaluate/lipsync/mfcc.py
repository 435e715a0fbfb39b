"""Mel-frequency cepstra exactly as SyncNet was trained on them.

The arithmetic of ``python_speech_features.mfcc`` with its defaults, which SyncNet's authors used:
no window function, a log energy in place of the first coefficient, filters on whole bins. That
package has no wheel.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, rfft

RATE = 16000  # Hz
COEFFICIENTS = 13
STEP, WINDOW = 160, 400  # samples: 10 and 25 ms
FFT = 512
FILTERS = 26
PREEMPHASIS = 0.97
LIFTER = 22
# What stands for an energy of zero, whose logarithm there is not.
TINY = np.finfo(np.float64).eps

FloatArray = NDArray[np.float64]


def mfcc(
    samples: NDArray,  # [n]
    before: float = 0.0,
) -> FloatArray:  # [T, 13]
    """Cepstra of every whole 25 ms window; window k begins at sample 160 k.

    Args:
        samples: 16 kHz, mono, in the units of 16-bit files, -32768 to 32767: the first column is
            a log energy and depends on them. [n]
        before: the sample before the first, for pre-emphasis; 0 at the start of the sound.

    Source: Davis and Mermelstein 1980, as in python_speech_features 0.6.
    """
    samples = np.asarray(samples, np.float64)
    if len(samples) < WINDOW:
        return np.zeros((0, COEFFICIENTS))
    emphasised = samples - PREEMPHASIS * np.concatenate([[before], samples[:-1]])
    windows = np.lib.stride_tricks.sliding_window_view(emphasised, WINDOW)[::STEP]
    power = np.abs(rfft(windows, FFT, axis=1)) ** 2 / FFT
    energy = power.sum(axis=1)
    bands = power @ mel_filters()
    cepstra = dct(np.log(np.where(bands == 0, TINY, bands)), type=2, axis=1, norm="ortho")
    order = np.arange(COEFFICIENTS)
    lifted = cepstra[:, :COEFFICIENTS] * (1 + LIFTER / 2 * np.sin(np.pi * order / LIFTER))
    lifted[:, 0] = np.log(np.where(energy == 0, TINY, energy))
    return np.asarray(lifted)


@lru_cache(maxsize=1)
def mel_filters() -> FloatArray:
    """Triangles of height 1 whose corners are whole bins of the spectrum. [FFT / 2 + 1, 26]"""
    mel = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), FILTERS + 2)
    corners = np.floor((FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / RATE)
    bins = np.arange(FFT // 2 + 1)[:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.asarray(np.clip(np.minimum(rising, falling), 0, None))
