"""Loudness of programs as broadcasters measure it (EBU R 128)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import resample_poly, sosfilt

from dubfew.media.audio import Audio

# Rate that the coefficients of the weighting belong to, Hz.
_RATE_HZ = 48_000
# K-weighting at 48 kHz: a shelf for the head, then a high-pass (tables 1 and 2 of BS.1770-4).
_K_WEIGHTING = np.array(
    [
        [
            1.53512485958697,
            -2.69169618940638,
            1.19839281085285,
            1.0,
            -1.69065929318241,
            0.73248077421585,
        ],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
)
# Blocks of 400 ms that overlap by three quarters; those below -70 LUFS, and then those more than 10
# LU below the mean of the rest, do not count.
_BLOCK_SECONDS, _STEP_SECONDS = 0.4, 0.1
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0
# Offset of the scale: a sine of 997 Hz at full scale in one channel is -3.01 LKFS.
_OFFSET_DB = -0.691
# Factor by which peaks between samples are looked for.
_OVERSAMPLING = 4


@dataclass(frozen=True)
class Loudness:
    """Loudness of a sound.

    Attributes:
        integrated: loudness of the whole, LUFS; minus infinity for silence, or less than a block.
        true_peak: largest value between samples, dBTP; minus infinity for silence.
    """

    integrated: float
    true_peak: float


def measure_loudness(audio: Audio) -> Loudness:
    """Measure integrated loudness and true peak of a mono sound.

    Args:
        audio: mono sound.

    Source: ITU-R BS.1770-4, annexes 1 and 2; EBU R 128.

    Example:
        >>> time = np.arange(96_000) / 48_000
        >>> sine = np.sin(2 * np.pi * 997 * time).astype(np.float32)
        >>> round(measure_loudness(Audio(sine, 48_000)).integrated, 1)
        -3.0
    """
    samples = audio.samples.astype(np.float64)
    if audio.rate != _RATE_HZ and len(samples):
        common = math.gcd(audio.rate, _RATE_HZ)
        samples = resample_poly(samples, _RATE_HZ // common, audio.rate // common)
    peak = float(np.abs(resample_poly(samples, _OVERSAMPLING, 1)).max()) if len(samples) else 0.0
    weighted = sosfilt(_K_WEIGHTING, samples) ** 2 if len(samples) else samples
    block, step = round(_BLOCK_SECONDS * _RATE_HZ), round(_STEP_SECONDS * _RATE_HZ)
    sums = np.concatenate([[0.0], np.cumsum(weighted)])
    starts = np.arange(0, len(samples) - block + 1, step)
    power = (sums[starts + block] - sums[starts]) / block
    kept = power[_to_lufs(power) > _ABSOLUTE_GATE_LUFS]
    if len(kept):
        gate = _to_lufs(kept.mean()) + _RELATIVE_GATE_LU
        kept = kept[_to_lufs(kept) > gate]
    integrated = float(_to_lufs(kept.mean())) if len(kept) else -math.inf
    return Loudness(integrated, 20 * math.log10(peak) if peak > 0 else -math.inf)


def _to_lufs(power: np.ndarray) -> np.ndarray:
    """Convert mean squares of weighted samples to LUFS."""
    return _OFFSET_DB + 10 * np.log10(np.maximum(power, 1e-30))
