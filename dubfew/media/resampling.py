"""Polyphase resampling of sound, as ``scipy.signal.resample_poly`` computes it.

``scipy.signal`` imports most of SciPy, which takes longer than resampling a minute of speech.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dubfew.utils.arrays import FloatArray

# Zero crossings of the filter on either side of its center: SciPy's number.
FILTER_HALF_WIDTH_CROSSINGS = 10
# Shape of the Kaiser window: SciPy's number. What lies 10 % above the new limit is damped by 50 dB.
KAISER_BETA = 5.0
# Outputs that are computed at once, which bounds memory: 60 taps each take 16 MB.
OUTPUT_BLOCK_SAMPLES = 65536


def resample_polyphase(
    samples: FloatArray,  # [n]
    up: int,
    down: int,
) -> FloatArray:  # [ceil(n up / down)]
    """Change the sample rate by a fraction, through a Kaiser-windowed low-pass filter.

    Args:
        samples: samples, with silence before and after. [n]
        up: numerator of the new rate over the old one; no common factor with ``down``.
        down: denominator of that ratio.

    Returns:
        Samples at the new rate, the first at the time of the old first one. [ceil(n up / down)]

    Source: Crochiere and Rabiner 1983, "Multirate Digital Signal Processing", chapter 3.
    """
    filter_taps = design_resampling_filter(up, down)
    half = len(filter_taps) // 2
    count = -(-len(samples) * up // down)
    # Taps that meet one output: every ``up``-th of the filter. The filter is padded to whole rows.
    taps = -(-len(filter_taps) // up)
    rows = np.zeros((taps, up), np.float32)
    rows.reshape(-1)[: len(filter_taps)] = filter_taps
    # Silence, so that all outputs see as many samples.
    last = ((count - 1) * down + half) // up
    padded = np.zeros(max(last + 1, len(samples)) + taps, np.float32)
    padded[taps : taps + len(samples)] = samples
    out = np.empty(count, np.float32)
    for number in range(min(up, count)):
        # Outputs ``up`` apart meet the same taps, ``down`` samples apart.
        newest, phase = divmod(number * down + half, up)
        seen = np.lib.stride_tricks.sliding_window_view(padded[newest + 1 :], taps)[::down]
        weights = np.ascontiguousarray(rows[::-1, phase])
        mine = out[number::up]
        for start in range(0, len(mine), OUTPUT_BLOCK_SAMPLES):
            stop = min(start + OUTPUT_BLOCK_SAMPLES, len(mine))
            mine[start:stop] = np.ascontiguousarray(seen[start:stop]) @ weights
    return out


@lru_cache(maxsize=4)
def design_resampling_filter(up: int, down: int) -> NDArray[np.float32]:
    """Design the low-pass filter of a change of rate, at ``up`` times the old rate.

    Args:
        up: numerator of the new rate over the old one.
        down: denominator of that ratio.

    Returns:
        Taps, symmetric, an odd number; their sum is ``up``.
    """
    widest = max(up, down)
    half = FILTER_HALF_WIDTH_CROSSINGS * widest
    taps = np.sinc(np.arange(-half, half + 1) / widest) * np.kaiser(2 * half + 1, KAISER_BETA)
    return (taps / taps.sum()).astype(np.float32) * np.float32(up)
