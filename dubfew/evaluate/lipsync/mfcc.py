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

SYNCNET_RATE_HZ = 16000  # Hz
NUM_CEPSTRA = 13
MFCC_STEP_SAMPLES, MFCC_WINDOW_SAMPLES = 160, 400  # samples: 10 and 25 ms
MFCC_FFT_SIZE = 512
NUM_MEL_FILTERS = 26
PREEMPHASIS_FACTOR = 0.97
LIFTER_LENGTH = 22
# What stands for an energy of zero, whose logarithm there is not.
ENERGY_FLOOR = np.finfo(np.float64).eps

FloatArray = NDArray[np.float64]


def mfcc(
    samples: NDArray,  # [n]
    previous_sample: float = 0.0,
) -> FloatArray:  # [T, 13]
    """Cepstra of every whole 25 ms window; window k begins at sample 160 k.

    Args:
        samples: 16 kHz, mono, in the units of 16-bit files, -32768 to 32767: the first column is
            a log energy and depends on them. [n]
        previous_sample: the sample before the first, for pre-emphasis; 0 at the start of the sound.

    Source: Davis and Mermelstein 1980, as in python_speech_features 0.6.
    """
    samples = np.asarray(samples, np.float64)
    if len(samples) < MFCC_WINDOW_SAMPLES:
        return np.zeros((0, NUM_CEPSTRA))
    emphasised = samples - PREEMPHASIS_FACTOR * np.concatenate([[previous_sample], samples[:-1]])
    windows = np.lib.stride_tricks.sliding_window_view(emphasised, MFCC_WINDOW_SAMPLES)[
        ::MFCC_STEP_SAMPLES
    ]
    power = np.abs(rfft(windows, MFCC_FFT_SIZE, axis=1)) ** 2 / MFCC_FFT_SIZE
    energy = power.sum(axis=1)
    bands = power @ mfcc_filterbank()
    cepstra = dct(np.log(np.where(bands == 0, ENERGY_FLOOR, bands)), type=2, axis=1, norm="ortho")
    order = np.arange(NUM_CEPSTRA)
    lifted = cepstra[:, :NUM_CEPSTRA] * (
        1 + LIFTER_LENGTH / 2 * np.sin(np.pi * order / LIFTER_LENGTH)
    )
    lifted[:, 0] = np.log(np.where(energy == 0, ENERGY_FLOOR, energy))
    return np.asarray(lifted)


@lru_cache(maxsize=1)
def mfcc_filterbank() -> FloatArray:
    """Triangles of height 1 whose corners are whole bins of the spectrum. [FFT / 2 + 1, 26]"""
    mel = np.linspace(0, 2595 * np.log10(1 + SYNCNET_RATE_HZ / 2 / 700), NUM_MEL_FILTERS + 2)
    corners = np.floor((MFCC_FFT_SIZE + 1) * 700 * (10 ** (mel / 2595) - 1) / SYNCNET_RATE_HZ)
    bins = np.arange(MFCC_FFT_SIZE // 2 + 1)[:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.asarray(np.clip(np.minimum(rising, falling), 0, None))
