"""Wav2Lip's mel spectrogram, 80 bands and 80 steps a second: 16 steps for five frames.

The numbers are those of Wav2Lip's published settings and of librosa's defaults, so that SyncNets
and renderers see what their papers' networks saw. `dubfew.media.mel.log_mel`, which
dubfew's own speech model reads, has another hop, scale and normalization.

Source: Prajwal et al. 2020, "A Lip Sync Expert Is All You Need for Speech to Lip Generation In The
Wild" (arXiv 2008.10010), the published code; Muaz et al. 2023, SIDGAN, section 3.4.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import rfft

from dubfew.data.sound_features._base import SoundFeature
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, slaney_band_edges_hz, triangular_filters
from dubfew.utils.arrays import FloatArray

# Weight of the previous sample that is subtracted, which raises high frequencies.
PREEMPHASIS_FACTOR = 0.97
# Samples of a window, which is as long as the Fourier transform, and between two windows.
MEL16_WINDOW_SAMPLES, MEL16_HOP_SAMPLES = 800, 200
# Number of bands, and their range in Hz.
MEL16_BANDS, MEL16_LOW_HZ, MEL16_HIGH_HZ = 80, 55.0, 7600.0
# Level that is subtracted, and the floor of what remains, dB. A level from the floor to 0 dB
# becomes a number from -4 to 4.
REFERENCE_LEVEL_DB, MIN_LEVEL_DB, LARGEST_VALUE = 20.0, -100.0, 4.0
# Frames of a window of sound, 0.2 s, as SyncNet and its followers see them.
# Source: Chung and Zisserman 2016, "Out of Time: Automated Lip Sync in the Wild", section 2.
SYNC_FRAMES = 5
# Windows per Fourier transform call, which bounds memory.
_WINDOWS_PER_BLOCK = 4096


def mel16_spectrogram(
    samples: FloatArray,  # [n]
) -> FloatArray:  # [n // 200 + 1, 80]
    """Compute Wav2Lip's mel spectrogram.

    Args:
        samples: mono at 16 kHz, in [-1, 1]. [n]

    Returns:
        Levels between -4 (silence) and 4; row k is centered on sample 200 k. A single row of
        silence for an empty recording. [n // 200 + 1, 80]
    """
    samples = np.asarray(samples, np.float32)
    if not len(samples):
        return np.full((1, MEL16_BANDS), -LARGEST_VALUE, np.float32)
    emphasized = samples.copy()
    emphasized[1:] -= np.float32(PREEMPHASIS_FACTOR) * samples[:-1]
    # Mirrored at the ends, which needs more samples than are mirrored.
    half = MEL16_WINDOW_SAMPLES // 2
    short = max(0, half + 1 - len(emphasized))
    padded = np.pad(np.pad(emphasized, (0, short)), half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, MEL16_WINDOW_SAMPLES)
    windows = windows[::MEL16_HOP_SAMPLES][: len(samples) // MEL16_HOP_SAMPLES + 1]
    hann = np.hanning(MEL16_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
    bands = np.empty((len(windows), MEL16_BANDS), np.float32)
    for first in range(0, len(windows), _WINDOWS_PER_BLOCK):
        block = windows[first : first + _WINDOWS_PER_BLOCK]
        magnitude = np.abs(rfft(block * hann, axis=1))
        bands[first : first + len(block)] = magnitude @ _filterbank()
    level = 20 * np.log10(np.maximum(10 ** (MIN_LEVEL_DB / 20), bands)) - REFERENCE_LEVEL_DB
    value = 2 * LARGEST_VALUE * (level - MIN_LEVEL_DB) / -MIN_LEVEL_DB - LARGEST_VALUE
    return np.clip(value, -LARGEST_VALUE, LARGEST_VALUE).astype(np.float32)


@lru_cache(maxsize=1)
def _filterbank() -> FloatArray:
    """Compute triangular filters of area 1. [401, 80]"""
    edges = slaney_band_edges_hz(MEL16_LOW_HZ, MEL16_HIGH_HZ, MEL16_BANDS)
    frequencies = np.linspace(0, SPEECH_SAMPLE_RATE_HZ / 2, MEL16_WINDOW_SAMPLES // 2 + 1)
    filters = triangular_filters(frequencies, edges) * (2 / (edges[2:] - edges[:-2]))
    return filters.astype(np.float32)


# A window of 16 steps begins at step int(80 * f / 25) of the first of its five frames f.
SOUND_FEATURE = SoundFeature(
    MEL16_BANDS,
    SPEECH_SAMPLE_RATE_HZ // MEL16_HOP_SAMPLES,
    16,
    SYNC_FRAMES // 2,
    mel16_spectrogram,
)
