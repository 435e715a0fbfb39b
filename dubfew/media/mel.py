"""Speech features: log-mel spectrograms at a normalized level, frame levels, and resampling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from dubfew.errors import MediaError
from dubfew.media.resampling import resample_polyphase
from dubfew.utils.arrays import FloatArray

# Sample rate of all speech processing, Hz. Speech has little above 8 kHz that shapes the mouth, and
# speech recognition, espeak-ng's references and SyncNet use this rate as well.
SPEECH_SAMPLE_RATE_HZ = 16000
# Samples between two mel frames: 10 ms, the usual step of speech recognition.
MEL_HOP_SAMPLES = 160
# Samples of a mel frame's window: 25 ms, which resolves phonemes but not pitch periods.
MEL_WINDOW_SAMPLES = 400
# Points of the Fourier transform: the next power of two above the window.
MEL_FFT_SIZE = 512
# Bands of the mel spectrogram. Stored models are trained for this number.
NUM_MEL_BANDS = 80
# Range of the mel bands, Hz: rumble lies below it, and telephone-grade sources have nothing above.
MEL_LOW_HZ, MEL_HIGH_HZ = 50.0, 7600.0
# Level of the loud frames after normalization, dB.
LOUD_LEVEL_DB = -20.0
# Range below the loud frames that the model sees, dB. 55 dB hold every consonant; more would show
# the recorder's own noise.
DYNAMIC_RANGE_DB = 55.0
# Recordings whose loud frames are quieter than this hold no speech and are not amplified, dB full
# scale.
MIN_SPEECH_LEVEL_DB = -65.0
# Quantile of the frame levels that counts as that of loud frames: clicks are rarer, vowels are not.
LOUD_QUANTILE = 0.95
# Lowest level that is reported, dB full scale: the logarithm of digital silence is not finite.
_MIN_LEVEL_DB = -100.0
# Frames this far under the loud ones count as speech when the spectral tilt is estimated, dB.
_TILT_RANGE_DB = 30.0
# Number of frames without tilt that are added to the mean, because half a second of speech is one
# vowel rather than a microphone. More would leave the tilt of short recordings in place.
_TILT_PRIOR_FRAMES = 50
# Samples whose energy is summed at once; divides the hop and half of the window.
_ENERGY_PIECE_SAMPLES = 40
# Frames per Fourier transform call, which bounds memory.
_FRAMES_PER_BLOCK = 4096
# Mean of the squared Hann window, by which it reduces a signal's power.
_HANN_POWER = 0.375
# Level, as a fraction of the dynamic range, below which the correction of the tilt fades out.
_TILT_FADE_LEVEL = 0.25
# Slaney's mel scale: 200 / 3 Hz for a mel up to 1000 Hz, then 27 mel for a factor of 6.4.
_LINEAR_HZ_PER_MEL, _LOG_START_HZ = 200 / 3, 1000.0
_LOG_STEP = float(np.log(6.4)) / 27
# Highest value of a log-mel band: loud peaks lie half of the dynamic range above the loud frames
# at most, and clipped samples should not stand out further.
_MAX_MEL_VALUE = 1.5


def resample_audio(samples: NDArray, rate: int) -> FloatArray:
    """Resample mono samples to 16 kHz and make them finite and in [-1, 1].

    Args:
        samples: mono samples; NaN and infinities count as silence. [n]
        rate: sample rate of ``samples``, Hz.

    Returns:
        Samples at `SPEECH_SAMPLE_RATE_HZ`. [m]

    Raises:
        MediaError: The samples are not mono, or the rate is not positive.

    Example:
        >>> resample_audio(np.array([0.5, np.nan, 3.0]), 16000).tolist()
        [0.5, 0.0, 1.0]
    """
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1:
        raise MediaError(f"audio samples have shape {samples.shape}, expected [n]: mix to mono")
    if rate <= 0:
        raise MediaError(f"audio has a sample rate of {rate} Hz, expected a positive one")
    samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0)
    if rate != SPEECH_SAMPLE_RATE_HZ and len(samples):
        common = gcd(SPEECH_SAMPLE_RATE_HZ, rate)
        samples = resample_polyphase(samples, SPEECH_SAMPLE_RATE_HZ // common, rate // common)
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
    """Compute the number of mel frames of a recording; frame k is centered on sample k * hop.

    Example:
        >>> num_mel_frames(16000)
        101
    """
    return num_samples // MEL_HOP_SAMPLES + 1


def frame_levels_db(samples: FloatArray) -> FloatArray:
    """Compute the level of each mel frame (25 ms window, every 10 ms).

    Args:
        samples: mono at 16 kHz. [n]

    Returns:
        dB full scale, at least -100. [T]
    """
    # Sum over pieces of 2.5 ms first: a running sum over all samples would take eight bytes each.
    pieces = -(-len(samples) // _ENERGY_PIECE_SAMPLES)
    whole = samples[: len(samples) // _ENERGY_PIECE_SAMPLES * _ENERGY_PIECE_SAMPLES].reshape(
        -1, _ENERGY_PIECE_SAMPLES
    )
    energy = np.zeros(pieces, np.float64)
    energy[: len(whole)] = np.einsum("ij,ij->i", whole, whole)
    if len(whole) < pieces:
        rest = samples[len(whole) * _ENERGY_PIECE_SAMPLES :]
        energy[-1] = float(rest @ rest)
    # The energy of a window is a difference of the running sum.
    total = np.concatenate([[0.0], np.cumsum(energy)])
    center = np.arange(num_mel_frames(len(samples))) * (MEL_HOP_SAMPLES // _ENERGY_PIECE_SAMPLES)
    low = np.clip(center - MEL_WINDOW_SAMPLES // _ENERGY_PIECE_SAMPLES // 2, 0, pieces)
    high = np.clip(center + MEL_WINDOW_SAMPLES // _ENERGY_PIECE_SAMPLES // 2, 0, pieces)
    power = (total[high] - total[low]) / MEL_WINDOW_SAMPLES
    return (10 * np.log10(np.maximum(power, 10 ** (_MIN_LEVEL_DB / 10)))).astype(np.float32)


def speech_level_db(samples: FloatArray) -> float:
    """Compute the level of a recording's loud frames, by which it is normalized.

    Returns:
        95th percentile of the frame levels, dB full scale, at least `MIN_SPEECH_LEVEL_DB`.
    """
    return max(float(np.quantile(frame_levels_db(samples), LOUD_QUANTILE)), MIN_SPEECH_LEVEL_DB)


@dataclass(frozen=True)
class RecordingChannel:
    """Effects of a recording on every voice in it: microphone, distance, gain.

    Attributes:
        level_db: level of the loud frames, dB full scale.
        spectral_tilt: mean log-mel spectrum of the loud frames minus its own mean, in units of
            `log_mel`. [80]
    """

    level_db: float
    spectral_tilt: FloatArray


def level_gain(channel: RecordingChannel) -> float:
    """Compute the factor that brings the loud frames of a recording to `LOUD_LEVEL_DB`.

    Example:
        >>> level_gain(RecordingChannel(-40.0, np.zeros(80, np.float32)))
        10.0
    """
    return float(10 ** ((LOUD_LEVEL_DB - channel.level_db) / 20))


def estimate_channel(samples: FloatArray) -> RecordingChannel:
    """Estimate the channel of a recording, in constant memory.

    The shorter the recording, the smaller the tilt: half a second is one vowel.

    Args:
        samples: mono at 16 kHz. [n]
    """
    # Mean log-mel spectrum of the loud frames, without any correction of its tilt.
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
    """Compute log-mel frames with the recording's level and spectral tilt taken out.

    Args:
        samples: mono at 16 kHz. [n]
        channel: channel of the whole recording, from `estimate_channel`; None estimates it here.
        start: first frame; frame k is centered on k * 10 ms. Frames before the recording (negative)
            and after it are silence.
        stop: frame after the last one; None goes to the end of the recording.

    Returns:
        0 at the floor (`DYNAMIC_RANGE_DB` under the loud frames), about 1 at the level of the loud
        frames, at most 1.5 plus tilt. [stop - start, 80]
    """
    channel = estimate_channel(samples) if channel is None else channel
    stop = num_mel_frames(len(samples)) if stop is None else stop
    # Normalize the level before anything else, so that the floor means the same in all recordings.
    gain = level_gain(channel)
    frames = np.empty((max(0, stop - start), NUM_MEL_BANDS), np.float32)
    # Power spectra of a block of frames at once, then their mel bands.
    for first in range(start, stop, _FRAMES_PER_BLOCK):
        last = min(stop, first + _FRAMES_PER_BLOCK)
        power = power_spectra(samples, first, last, gain=gain, fft_size=MEL_FFT_SIZE)
        frames[first - start : last - start] = power @ mel_filterbank()
    # Power of one band in a frame of full-band noise at 0 dB, roughly: the reference of the levels.
    reference_power = MEL_WINDOW_SAMPLES * _HANN_POWER * MEL_FFT_SIZE / NUM_MEL_BANDS
    db = 10 * np.log10(frames / reference_power + 1e-12)
    mel = np.clip((db - (LOUD_LEVEL_DB - DYNAMIC_RANGE_DB)) / DYNAMIC_RANGE_DB, 0.0, _MAX_MEL_VALUE)
    # The tilt fades out towards the floor, so that silence stays 0 in every band.
    return np.maximum(
        mel - channel.spectral_tilt * np.minimum(mel / _TILT_FADE_LEVEL, 1.0), 0.0
    ).astype(np.float32)


def power_spectra(
    samples: FloatArray,  # [n] at 16 kHz
    start: int,
    stop: int,
    *,
    gain: float,
    fft_size: int,
) -> FloatArray:  # [stop - start, fft_size / 2 + 1]
    """Compute power spectra of mel frames, under a Hann window of 25 ms.

    Args:
        samples: mono at 16 kHz. [n]
        start: first frame; frame k is centered on k * 10 ms. Outside of the recording is silence.
        stop: frame after the last one, more than ``start``.
        gain: factor for the samples.
        fft_size: points of the Fourier transform, at least `MEL_WINDOW_SAMPLES`.

    Returns:
        Squared magnitudes of the Fourier transform. [stop - start, fft_size / 2 + 1]
    """
    window = np.hanning(MEL_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
    # Samples of the windows of all frames.
    low, high = (
        start * MEL_HOP_SAMPLES - MEL_WINDOW_SAMPLES // 2,
        (stop - 1) * MEL_HOP_SAMPLES + MEL_WINDOW_SAMPLES // 2,
    )
    piece = slice_padded(samples, low, high) * np.float32(gain)
    windows = (
        np.lib.stride_tricks.sliding_window_view(piece, MEL_WINDOW_SAMPLES)[::MEL_HOP_SAMPLES]
        * window
    )
    return np.abs(rfft(windows, fft_size, axis=1)) ** 2


@lru_cache(maxsize=1)
def mel_filterbank() -> FloatArray:
    """Compute triangular filters of height 1, evenly spaced on the mel scale.

    Returns:
        Weight of each frequency in each band. [MEL_FFT_SIZE / 2 + 1, 80]
    """
    frequencies = np.linspace(0, SPEECH_SAMPLE_RATE_HZ / 2, MEL_FFT_SIZE // 2 + 1)
    edges = mel_band_edges_hz(MEL_LOW_HZ, MEL_HIGH_HZ, NUM_MEL_BANDS)
    return triangular_filters(frequencies, edges).astype(np.float32)


def mel_band_edges_hz(low: float, high: float, count: int) -> NDArray[np.float64]:
    """Compute the edges of overlapping bands, evenly spaced on the mel scale.

    Band k begins at edge k, has its center at edge k + 1 and ends at edge k + 2.

    Args:
        low: lower edge of the first band, Hz.
        high: upper edge of the last band, Hz.
        count: number of bands.

    Returns:
        Edges in Hz, rising. [count + 2]

    Source: the mel scale of HTK, 2595 log10(1 + f / 700): Young et al. 2006, The HTK Book.

    Example:
        >>> mel_band_edges_hz(0, 8000, 2).round().tolist()
        [0.0, 921.0, 3056.0, 8000.0]
    """
    mel = np.linspace(2595 * np.log10(1 + low / 700), 2595 * np.log10(1 + high / 700), count + 2)
    return np.asarray(700 * (10 ** (mel / 2595) - 1))


def slaney_band_edges_hz(low: float, high: float, count: int) -> NDArray[np.float64]:
    """Compute the edges of overlapping bands, evenly spaced on Slaney's mel scale.

    The scale is linear up to 1000 Hz and logarithmic above. Bands lie as in `mel_band_edges_hz`.

    Args:
        low: lower edge of the first band, Hz.
        high: upper edge of the last band, Hz.
        count: number of bands.

    Returns:
        Edges in Hz, rising. [count + 2]

    Source: Slaney 1998, Auditory Toolbox, technical report 1998-010; librosa's default.

    Example:
        >>> slaney_band_edges_hz(0, 6400, 6).round().tolist()
        [0.0, 400.0, 800.0, 1229.0, 1857.0, 2805.0, 4237.0, 6400.0]
    """
    start_mel = _LOG_START_HZ / _LINEAR_HZ_PER_MEL

    def to_mel(hz: float) -> float:
        if hz < _LOG_START_HZ:
            return hz / _LINEAR_HZ_PER_MEL
        return start_mel + float(np.log(hz / _LOG_START_HZ)) / _LOG_STEP

    mel = np.linspace(to_mel(low), to_mel(high), count + 2)
    return np.where(
        mel < start_mel,
        mel * _LINEAR_HZ_PER_MEL,
        _LOG_START_HZ * np.exp((mel - start_mel) * _LOG_STEP),
    )


def triangular_filters(
    positions: NDArray,  # [F]
    edges: NDArray[np.float64],  # [B + 2]
) -> NDArray[np.float64]:  # [F, B]
    """Compute triangular filters of height 1.

    Args:
        positions: positions of the frequencies, in the unit of the edges. [F]
        edges: edges of the bands, rising; see `mel_band_edges_hz`. [B + 2]

    Returns:
        Weight of each frequency in each band: 1 at the band's center, 0 outside its edges. [F, B]

    Example:
        >>> triangular_filters(np.arange(5), np.array([0.0, 2.0, 4.0]))[:, 0].tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    # Each filter rises from its neighbor's center to its own and falls to the next one's.
    low, center, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (positions[:, None] - low) / (center - low)
    falling = (high - positions[:, None]) / (high - center)
    return np.maximum(0, np.minimum(rising, falling))
