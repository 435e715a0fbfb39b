"""Whisper's log-mel bands, with a floor that does not depend on other sound."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dubfew.media.mel import (
    MEL_WINDOW_SAMPLES,
    SPEECH_SAMPLE_RATE_HZ,
    power_spectra,
    slaney_band_edges_hz,
    triangular_filters,
)
from dubfew.utils.arrays import FloatArray

# Whisper raises every value to 8 (80 dB) below the largest one of the 30 s that it is given, and
# adds 4 and divides by 4 to bring the values near [-1, 1].
_RANGE_BELOW_PEAK, _OFFSET, _DIVISOR = 8.0, 4.0, 4.0
# Largest value in speech at `LOUD_LEVEL_DB`: the median over 42 clips is 0.8, nine in ten lie
# between 0.6 and 1.0. The range below it keeps Whisper's quietest details: with 70, 60 and 50 dB
# instead of 80, a linear map to the lips' gap lost 1, 3 and 4 % of its correlation on HDTF.
PEAK_LOG_POWER = 0.8
# Lowest power whose logarithm is taken.
_MIN_POWER = 1e-10


def whisper_log_mel(
    samples: FloatArray,  # [n] at 16 kHz
    start: int,
    stop: int,
    *,
    gain: float,
    num_bands: int,
) -> FloatArray:  # [stop - start, num_bands]
    """Compute Whisper's input.

    The floor is a constant below the level to which ``gain`` brings speech, instead of a constant
    below the loudest moment of the window: a door that slams changes no other frame, and windows
    agree where they overlap.

    Args:
        samples: mono at 16 kHz. [n]
        start: first frame; frame k is centered on k * 10 ms. Outside of the recording is silence.
        stop: frame after the last one.
        gain: factor that brings the loud frames of the recording to `LOUD_LEVEL_DB`.
        num_bands: 80, or 128 in the newest models.

    Returns:
        Log-mel bands in Whisper's units. [stop - start, num_bands]

    Source: Radford et al. 2022, Robust Speech Recognition via Large-Scale Weak Supervision, sec.
    2.2.
    """
    power = power_spectra(samples, start, stop, gain=gain, fft_size=MEL_WINDOW_SAMPLES)
    log_power = np.log10(np.maximum(power @ _filterbank(num_bands), _MIN_POWER))
    floor = PEAK_LOG_POWER - _RANGE_BELOW_PEAK
    return ((np.maximum(log_power, floor) + _OFFSET) / _DIVISOR).astype(np.float32)


@lru_cache(maxsize=2)
def _filterbank(num_bands: int) -> FloatArray:
    """Compute triangular filters of area 1 from 0 to 8 kHz on Slaney's mel scale. [201, bands]

    Source: Slaney 1998, Auditory Toolbox, technical report 1998-010.
    """
    top_hz = SPEECH_SAMPLE_RATE_HZ / 2
    edges = slaney_band_edges_hz(0, top_hz, num_bands)
    frequencies = np.linspace(0, top_hz, MEL_WINDOW_SAMPLES // 2 + 1)
    filters = triangular_filters(frequencies, edges) * (2 / (edges[2:] - edges[:-2]))
    return filters.astype(np.float32)
