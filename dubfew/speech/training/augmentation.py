"""Augmentation of training sound, and sounds without speech."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.signal import butter, fftconvolve, sosfilt

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.training.codec import apply_codec, available_codecs
from dubfew.utils.arrays import FloatArray

# Loops of chords that music is made from; they are kept, because making one takes longer than a
# training step. More would make music more varied and take more memory (256 kB each).
_NUM_CHORD_LOOPS = 64
# Length of such a loop, s.
_CHORD_LOOP_SECONDS = 4


def colored_noise(length: int, rng: np.random.Generator) -> FloatArray:
    """Make noise between white and brown, with a root mean square of 1.

    Args:
        length: number of samples.
        rng: source of randomness.

    Returns:
        Samples at 16 kHz. [length]
    """
    size = 2 ** int(np.ceil(np.log2(max(length, 2))))
    spectrum = np.fft.rfft(rng.standard_normal(size))
    # Exponent of the spectrum's fall: 0 is white, 1 is brown.
    tilt = rng.uniform(0.0, 1.2)
    spectrum *= np.maximum(np.arange(len(spectrum)), 8.0) ** -tilt
    noise = np.fft.irfft(spectrum, size)[:length]
    return (noise / (np.sqrt(np.mean(noise**2)) + 1e-9)).astype(np.float32)


def music_noise(length: int, rng: np.random.Generator) -> FloatArray:
    """Make chords of decaying harmonic tones, with a peak of 1: sound that is not speech.

    Args:
        length: number of samples.
        rng: source of randomness.

    Returns:
        Samples at 16 kHz. [length]
    """
    loop = _chord_loop(int(rng.integers(_NUM_CHORD_LOOPS)))
    return np.resize(np.roll(loop, int(rng.integers(len(loop)))), length)


@lru_cache(maxsize=_NUM_CHORD_LOOPS)
def _chord_loop(seed: int) -> FloatArray:
    """Make some seconds of chords."""
    rng = np.random.default_rng(seed)
    length = _CHORD_LOOP_SECONDS * SPEECH_SAMPLE_RATE_HZ
    t = np.arange(length) / SPEECH_SAMPLE_RATE_HZ
    sound = np.zeros(length)
    onset = 0.0
    # Chords of one to three tones, each with several harmonics and an exponential decay.
    while onset < length / SPEECH_SAMPLE_RATE_HZ:
        for _ in range(rng.integers(1, 4)):
            pitch = 55 * 2 ** (rng.integers(0, 48) / 12)
            age = np.maximum(t - onset, 0)
            envelope = np.exp(-age / rng.uniform(0.15, 2.0)) * np.minimum(age / 0.01, 1)
            for harmonic in range(1, rng.integers(2, 8)):
                sound += envelope * np.sin(2 * np.pi * pitch * harmonic * t) / harmonic
        onset += rng.uniform(0.1, 0.8)
    return (sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)


def breath_noise(length: int, rng: np.random.Generator) -> FloatArray:
    """Make puffs of band-passed noise, with a peak of about 1.

    Args:
        length: number of samples.
        rng: source of randomness.

    Returns:
        Samples at 16 kHz. [length]
    """
    low = rng.uniform(200, 1500)
    sos = butter(
        2,
        [low, min(7500, low * rng.uniform(2, 6))],
        "bandpass",
        fs=SPEECH_SAMPLE_RATE_HZ,
        output="sos",
    )
    noise = sosfilt(sos, rng.standard_normal(length))
    t = np.arange(length) / SPEECH_SAMPLE_RATE_HZ
    # Puffs: the positive half waves of a slow sine.
    envelope = np.maximum(0, np.sin(2 * np.pi * rng.uniform(0.3, 1.2) * t + rng.uniform(0, 6)))
    sound = noise * envelope
    return (sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)


def add_reverberation(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Add the reverberation of a random room.

    Args:
        samples: mono at 16 kHz. [n]
        rng: source of randomness.

    Returns:
        As many samples, the direct sound where it was. [n]
    """
    length = int(SPEECH_SAMPLE_RATE_HZ * rng.uniform(0.1, 0.5))
    # Noise that decays by 60 dB (a factor of e to the 6.9) over the reverberation time.
    decay = np.exp(-np.arange(length) / SPEECH_SAMPLE_RATE_HZ * 6.9 / rng.uniform(0.1, 0.5))
    tail = rng.standard_normal(length) * decay
    tail *= rng.uniform(0.1, 0.5) / (np.sqrt((tail**2).sum()) + 1e-9)
    tail[0] += 1.0  # the direct sound
    return fftconvolve(samples, tail)[: len(samples)].astype(np.float32)


def limit_bandwidth(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Limit the frequency band, as a telephone, a far microphone or a cheap loudspeaker does.

    Args:
        samples: mono at 16 kHz. [n]
        rng: source of randomness.

    Returns:
        As many samples. [n]
    """
    low, high = rng.uniform(60, 350), rng.uniform(3000, 7500)
    sos = butter(2, [low, high], "bandpass", fs=SPEECH_SAMPLE_RATE_HZ, output="sos")
    return sosfilt(sos, samples).astype(np.float32)


def apply_random_codec(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Pass sound through a random lossy codec at a low bit rate, as calls and web video do.

    Args:
        samples: mono at 16 kHz, any amplitude. [n]
        rng: source of randomness.

    Returns:
        As many samples, each at its time. [n]
    """
    choices = available_codecs()
    codec = choices[rng.integers(len(choices))]
    bit_rate = int(rng.choice(codec.bit_rates)) if codec.bit_rates else None
    # Codecs clip beyond full scale.
    peak = max(1.0, float(np.abs(samples).max(initial=0.0)))
    return apply_codec(samples / np.float32(peak), codec, bit_rate) * np.float32(peak)


def augment_audio(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Apply a random chain of reverberation, band limits, noise, music and coding.

    Args:
        samples: mono at 16 kHz. [n]
        rng: source of randomness.

    Returns:
        As many samples. [n]
    """
    # First the room and the microphone, then noise relative to the loudness, then coding.
    out = samples
    if rng.random() < 0.4:
        out = add_reverberation(out, rng)
    if rng.random() < 0.3:
        out = limit_bandwidth(out, rng)
    loud = np.sqrt(np.mean(out**2)) + 1e-6
    if rng.random() < 0.7:
        out = out + colored_noise(len(out), rng) * loud * 10 ** (-rng.uniform(8, 45) / 20)
    if rng.random() < 0.12:
        out = out + music_noise(len(out), rng) * loud * 10 ** (-rng.uniform(8, 25) / 20)
    # Rarely, because it takes some 20 ms, twice as long as the rest of a window.
    if rng.random() < 0.15:
        out = apply_random_codec(out.astype(np.float32), rng)
    return out.astype(np.float32)


def augment_mel(mel: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Shift formants, tilt the spectrum and blank a few bands of a log-mel spectrogram.

    Args:
        mel: log-mel frames. [T, bands]
        rng: source of randomness.

    Returns:
        Frames of the same shape. [T, bands]
    """
    num_bands = mel.shape[1]
    # Stretch the frequency axis, as a longer or shorter vocal tract does.
    place = np.arange(num_bands) * rng.uniform(0.86, 1.16)
    rows = np.arange(len(mel))
    grid = np.stack(np.meshgrid(rows, place, indexing="ij"))
    warped = map_coordinates(mel, grid, order=1, mode="nearest")
    # Add a tilt and a smooth random curve, as another microphone does.
    tilt = rng.uniform(-0.1, 0.1) * np.linspace(-1, 1, num_bands) + rng.uniform(-0.05, 0.05)
    knots = 0.05 * rng.standard_normal(7)
    tilt += np.interp(np.linspace(0, 6, num_bands), np.arange(7), knots)
    # Silent bands stay silent.
    warped = np.where(warped > 0.02, np.maximum(warped + tilt, 0.0), warped)
    if rng.random() < 0.3:
        first = rng.integers(0, num_bands - 10)
        warped[:, first : first + rng.integers(3, 10)] = 0.0
    return warped.astype(np.float32)
