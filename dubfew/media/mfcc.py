"""Mel-frequency cepstral coefficients (MFCC), exactly as SyncNet and DeepSpeech learned on them.

The arithmetic is that of ``python_speech_features.mfcc`` with its defaults, which both used: no
window function, a log energy in place of the first coefficient, and filters whose corners are whole
bins of the spectrum. That package has no wheel, so it is no dependency.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, rfft

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, mel_band_edges_hz, triangular_filters

# All numbers below are the defaults of python_speech_features. SyncNet's weights fit no others.
#
# Sample rate of the sound, Hz.
SYNCNET_RATE_HZ = SPEECH_SAMPLE_RATE_HZ
# Coefficients per window, and so the height of SyncNet's input.
NUM_CEPSTRA = 13
# Step between two windows and length of a window, samples: 10 and 25 ms.
MFCC_STEP_SAMPLES, MFCC_WINDOW_SAMPLES = 160, 400
# Points of the Fourier transform: the next power of two above the window.
MFCC_FFT_SIZE = 512
# Triangular filters between 0 Hz and half of the sample rate.
NUM_MEL_FILTERS = 26
# Weight of the previous sample that is subtracted, which raises high frequencies.
PREEMPHASIS_FACTOR = 0.97
# Period of the sine that weights the coefficients (liftering): higher ones are small otherwise.
LIFTER_LENGTH = 22
# Value in place of an energy of zero, whose logarithm does not exist.
ENERGY_FLOOR = np.finfo(np.float64).eps


def mfcc(
    samples: NDArray,  # [n]
    previous_sample: float = 0.0,
    num_cepstra: int = NUM_CEPSTRA,
) -> NDArray[np.float64]:  # [T, num_cepstra]
    """Compute the cepstral coefficients of every whole 25 ms window; window k begins at 160 k.

    Args:
        samples: mono at 16 kHz, in the units of 16-bit files, -32768 to 32767: the first
            coefficient is a log energy and depends on them. [n]
        previous_sample: sample before the first, for pre-emphasis; 0 at the start of a sound.
        num_cepstra: coefficients, at most 26: SyncNet reads 13, DeepSpeech 26.

    Returns:
        One row per window; no rows for less than a window. [T, num_cepstra]

    Source: Davis and Mermelstein 1980, "Comparison of Parametric Representations for Monosyllabic
    Word Recognition in Continuously Spoken Sentences", as in python_speech_features 0.6.

    Example:
        >>> mfcc(np.zeros(560)).shape
        (2, 13)
    """
    samples = np.asarray(samples, np.float64)
    if len(samples) < MFCC_WINDOW_SAMPLES:
        return np.zeros((0, num_cepstra))
    emphasized = samples - PREEMPHASIS_FACTOR * np.concatenate([[previous_sample], samples[:-1]])
    windows = np.lib.stride_tricks.sliding_window_view(emphasized, MFCC_WINDOW_SAMPLES)
    windows = windows[::MFCC_STEP_SAMPLES]
    power = np.abs(rfft(windows, MFCC_FFT_SIZE, axis=1)) ** 2 / MFCC_FFT_SIZE
    energy = power.sum(axis=1)
    bands = power @ mfcc_filterbank()
    cepstra = dct(np.log(np.where(bands == 0, ENERGY_FLOOR, bands)), type=2, axis=1, norm="ortho")
    # Liftering scales the coefficients to a similar size.
    order = np.arange(num_cepstra)
    lifter = 1 + LIFTER_LENGTH / 2 * np.sin(np.pi * order / LIFTER_LENGTH)
    lifted = cepstra[:, :num_cepstra] * lifter
    lifted[:, 0] = np.log(np.where(energy == 0, ENERGY_FLOOR, energy))
    return np.asarray(lifted)


@lru_cache(maxsize=1)
def mfcc_filterbank() -> NDArray[np.float64]:
    """Compute triangular filters whose corners are whole bins of the spectrum.

    Returns:
        Weight of each bin in each filter. [MFCC_FFT_SIZE / 2 + 1, 26]
    """
    edges = mel_band_edges_hz(0, SYNCNET_RATE_HZ / 2, NUM_MEL_FILTERS)
    corners = np.floor((MFCC_FFT_SIZE + 1) * edges / SYNCNET_RATE_HZ)
    return triangular_filters(np.arange(MFCC_FFT_SIZE // 2 + 1), corners)
