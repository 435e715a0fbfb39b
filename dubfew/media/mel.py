"""Sound as the speech model hears it: log-mel frames at a normalised level, and voice activity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.signal import resample_poly

from dubfew.errors import MediaError
from dubfew.utils.arrays import FloatArray

SPEECH_SAMPLE_RATE_HZ = 16000  # Hz
MEL_HOP_SAMPLES = 160  # 10 ms
MEL_WINDOW_SAMPLES = (
    400  # 25 ms, what speech recognition uses: resolves phonemes, not pitch periods
)
MEL_FFT_SIZE = 512
NUM_MEL_BANDS = 80
MEL_LOW_HZ, MEL_HIGH_HZ = (
    50.0,
    7600.0,
)  # Hz: below is rumble, above is gone in telephone-grade sources
# Level of the loud frames after normalisation, and the noise floor below it that the model is
# still shown: 55 dB hold every consonant, more would show it the recorder's own noise.
LOUD_LEVEL_DB = -20.0
DYNAMIC_RANGE_DB = 55.0
# Quieter than this is no recording of speech at all; it is not amplified (dB full scale).
MIN_SPEECH_LEVEL_DB = -65.0
# Frames this far under the loud ones still are speech; so many frames of no tilt are believed
# beforehand, because half a second of speech is one vowel rather than a microphone.
_TILT_RANGE_DB, _TILT_PRIOR_FRAMES = 30.0, 50
_ENERGY_PIECE_SAMPLES = 40  # samples; divides HOP and half of WINDOW
_FRAMES_PER_BLOCK = 4096  # frames per FFT call, bounds memory


def resample_audio(samples: NDArray, sample_rate: int) -> FloatArray:
    """Mono samples at 16 kHz, finite, within [-1, 1].

    Args:
        samples: mono, any rate; NaN and infinities count as silence. [n]
        sample_rate: Hz.

    Raises:
        MediaError: not mono, or a rate that is no rate.
    """
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1:
        raise MediaError(f"audio samples have shape {samples.shape}, expected [n]: mix to mono")
    if sample_rate <= 0:
        raise MediaError(f"audio has a sample rate of {sample_rate} Hz, expected a positive one")
    samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0)
    if sample_rate != SPEECH_SAMPLE_RATE_HZ and len(samples):
        common = gcd(SPEECH_SAMPLE_RATE_HZ, sample_rate)
        samples = resample_poly(
            samples, SPEECH_SAMPLE_RATE_HZ // common, sample_rate // common
        ).astype(np.float32)
    return samples


def slice_padded(samples: FloatArray, low: int, high: int) -> FloatArray:
    """Take samples [low, high), with silence where the recording has none.

    Args:
        samples: a recording. [n]
        low: first sample, may be negative.
        high: sample after the last one, at least ``low``; may lie beyond the recording.

    Example:
        >>> slice_padded(np.array([1.0, 2.0], np.float32), -1, 4).tolist()
        [0.0, 1.0, 2.0, 0.0, 0.0]
    """
    piece = samples[max(0, low) : max(0, high)]
    before = min(max(0, -low), high - low)
    return np.pad(piece, (before, high - low - before - len(piece)))


def num_mel_frames(num_samples: int) -> int:
    """How many 10 ms frames cover so many samples; frame k is centred on sample k * HOP."""
    return num_samples // MEL_HOP_SAMPLES + 1


def frame_levels_db(samples: FloatArray) -> FloatArray:
    """Level of each 10 ms frame (25 ms window), dB full scale, at least -100. [T]"""
    # Sums over 2.5 ms pieces first: a running sum over the samples would take eight bytes each.
    pieces = -(-len(samples) // _ENERGY_PIECE_SAMPLES)
    whole = samples[: len(samples) // _ENERGY_PIECE_SAMPLES * _ENERGY_PIECE_SAMPLES].reshape(
        -1, _ENERGY_PIECE_SAMPLES
    )
    energy = np.zeros(pieces, np.float64)
    energy[: len(whole)] = np.einsum("ij,ij->i", whole, whole)
    if len(whole) < pieces:
        rest = samples[len(whole) * _ENERGY_PIECE_SAMPLES :]
        energy[-1] = float(rest @ rest)
    total = np.concatenate([[0.0], np.cumsum(energy)])
    centre = np.arange(num_mel_frames(len(samples))) * (MEL_HOP_SAMPLES // _ENERGY_PIECE_SAMPLES)
    low = np.clip(centre - MEL_WINDOW_SAMPLES // _ENERGY_PIECE_SAMPLES // 2, 0, pieces)
    high = np.clip(centre + MEL_WINDOW_SAMPLES // _ENERGY_PIECE_SAMPLES // 2, 0, pieces)
    power = (total[high] - total[low]) / MEL_WINDOW_SAMPLES
    return (10 * np.log10(np.maximum(power, 1e-10))).astype(np.float32)


def speech_level_db(samples: FloatArray) -> float:
    """Level of the loud frames of a recording, dB full scale: what normalisation goes by."""
    return max(float(np.quantile(frame_levels_db(samples), 0.95)), MIN_SPEECH_LEVEL_DB)


@dataclass(frozen=True)
class RecordingChannel:
    """What a recording does to every voice in it: microphone, distance, gain.

    Attributes:
        level_db: of the loud frames, dB full scale.
        spectral_tilt: mean spectrum of the speech-loud frames against its own mean, in units of
            ``log_mel``. [80]
    """

    level_db: float
    spectral_tilt: FloatArray


def estimate_channel(samples: FloatArray) -> RecordingChannel:
    """Estimate the channel of a recording, in blocks. Short recordings get little tilt."""
    level = speech_level_db(samples)
    flat = RecordingChannel(level, np.zeros(NUM_MEL_BANDS, np.float32))
    loud = frame_levels_db(samples) > level - _TILT_RANGE_DB
    total = np.zeros(NUM_MEL_BANDS)
    for start in range(0, len(loud), _FRAMES_PER_BLOCK):
        stop = min(len(loud), start + _FRAMES_PER_BLOCK)
        mel = log_mel(samples, channel=flat, start=start, stop=stop)
        total += mel[loud[start:stop]].sum(axis=0)
    mean = total / (loud.sum() + _TILT_PRIOR_FRAMES)
    return RecordingChannel(level, (mean - mean.mean()).astype(np.float32))


def log_mel(
    samples: FloatArray,  # [n] at 16 kHz
    *,
    channel: RecordingChannel | None = None,
    start: int = 0,
    stop: int | None = None,
) -> FloatArray:  # [stop - start, 80]
    """Log-mel frames with the recording's level and spectral tilt taken out.

    Args:
        samples: 16 kHz, mono. [n]
        channel: of the whole recording, from ``estimate_channel``; None estimates it here.
        start: first frame wanted; frame k is centred on k * 10 ms. Frames before the recording
            (negative) and after it are silence.
        stop: frame after the last one wanted; None goes to the end of the recording.

    Returns:
        Per frame and band: 0 at the floor (``DYNAMIC_RANGE_DB`` under the loud frames), about 1 at
        their
        level. [stop - start, 80]
    """
    channel = estimate_channel(samples) if channel is None else channel
    stop = num_mel_frames(len(samples)) if stop is None else stop
    gain = 10 ** ((LOUD_LEVEL_DB - channel.level_db) / 20)
    window = np.hanning(MEL_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
    frames = np.empty((max(0, stop - start), NUM_MEL_BANDS), np.float32)
    for first in range(start, stop, _FRAMES_PER_BLOCK):
        last = min(stop, first + _FRAMES_PER_BLOCK)
        low, high = (
            first * MEL_HOP_SAMPLES - MEL_WINDOW_SAMPLES // 2,
            (last - 1) * MEL_HOP_SAMPLES + MEL_WINDOW_SAMPLES // 2,
        )
        piece = slice_padded(samples, low, high) * np.float32(gain)
        blocks = (
            np.lib.stride_tricks.sliding_window_view(piece, MEL_WINDOW_SAMPLES)[::MEL_HOP_SAMPLES]
            * window
        )
        power = np.abs(rfft(blocks, MEL_FFT_SIZE, axis=1)) ** 2
        frames[first - start : last - start] = power @ mel_filterbank()
    # A frame of full-band noise at level 0 dB has about this power in one band.
    db = 10 * np.log10(frames / (MEL_WINDOW_SAMPLES * 0.375 * MEL_FFT_SIZE / NUM_MEL_BANDS) + 1e-12)
    mel = np.clip((db - (LOUD_LEVEL_DB - DYNAMIC_RANGE_DB)) / DYNAMIC_RANGE_DB, 0.0, 1.5)
    # The tilt fades out towards the floor, so that silence stays 0 in every band.
    return np.maximum(mel - channel.spectral_tilt * np.minimum(mel / 0.25, 1.0), 0.0).astype(
        np.float32
    )


@lru_cache(maxsize=1)
def mel_filterbank() -> FloatArray:
    """Triangular filters, evenly spaced on the mel scale, each of height 1. [FFT / 2 + 1, 80]

    Source: the HTK mel scale, 2595 log10(1 + f / 700).
    """
    mel = np.linspace(_hertz_to_mel(MEL_LOW_HZ), _hertz_to_mel(MEL_HIGH_HZ), NUM_MEL_BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequency = np.linspace(0, SPEECH_SAMPLE_RATE_HZ / 2, MEL_FFT_SIZE // 2 + 1)[:, None]
    rising = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _hertz_to_mel(hertz: float) -> float:
    return 2595 * float(np.log10(1 + hertz / 700))
