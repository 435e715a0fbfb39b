"""What recordings do to a voice, done to training sound."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.signal import butter, fftconvolve, sosfilt

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.training.codec import apply_codec, available_codecs
from dubfew.utils.arrays import FloatArray

_NUM_CHORD_LOOPS = 64


def colored_noise(length: int, rng: np.random.Generator) -> FloatArray:
    """Noise between white and brown, root mean square 1. [length]"""
    size = 2 ** int(np.ceil(np.log2(max(length, 2))))
    spectrum = np.fft.rfft(rng.standard_normal(size))
    tilt = rng.uniform(0.0, 1.2)
    spectrum *= np.maximum(np.arange(len(spectrum)), 8.0) ** -tilt
    noise = np.fft.irfft(spectrum, size)[:length]
    return (noise / (np.sqrt(np.mean(noise**2)) + 1e-9)).astype(np.float32)


def music_noise(length: int, rng: np.random.Generator) -> FloatArray:
    """Chords of decaying harmonic tones, peak 1: sound that is no speech. [length]"""
    piece = _chord_loop(int(rng.integers(_NUM_CHORD_LOOPS)))
    return np.resize(np.roll(piece, int(rng.integers(len(piece)))), length)


@lru_cache(maxsize=_NUM_CHORD_LOOPS)
def _chord_loop(seed: int) -> FloatArray:
    """Four seconds of chords; a bank of them, because they cost more than a training step."""
    rng = np.random.default_rng(seed)
    length = 4 * SPEECH_SAMPLE_RATE_HZ
    t = np.arange(length) / SPEECH_SAMPLE_RATE_HZ
    sound = np.zeros(length)
    onset = 0.0
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
    """Puffs of band-passed noise, peak about 1. [length]"""
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
    envelope = np.maximum(0, np.sin(2 * np.pi * rng.uniform(0.3, 1.2) * t + rng.uniform(0, 6)))
    sound = noise * envelope
    return (sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)


def add_reverberation(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Add the reverberation of a random room. [n]"""
    length = int(SPEECH_SAMPLE_RATE_HZ * rng.uniform(0.1, 0.5))
    decay = np.exp(-np.arange(length) / SPEECH_SAMPLE_RATE_HZ * 6.9 / rng.uniform(0.1, 0.5))
    tail = rng.standard_normal(length) * decay
    tail *= rng.uniform(0.1, 0.5) / (np.sqrt((tail**2).sum()) + 1e-9)
    tail[0] += 1.0
    return fftconvolve(samples, tail)[: len(samples)].astype(np.float32)


def limit_bandwidth(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A telephone, a far microphone, a cheap loudspeaker. [n]"""
    low, high = rng.uniform(60, 350), rng.uniform(3000, 7500)
    sos = butter(2, [low, high], "bandpass", fs=SPEECH_SAMPLE_RATE_HZ, output="sos")
    return sosfilt(sos, samples).astype(np.float32)


def apply_random_codec(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A call, a message, a web video: lossy coding at a low bit rate. [n]"""
    choices = available_codecs()
    codec = choices[rng.integers(len(choices))]
    bit_rate = int(rng.choice(codec.bit_rates)) if codec.bit_rates else None
    peak = max(1.0, float(np.abs(samples).max(initial=0.0)))
    return apply_codec(samples / np.float32(peak), codec, bit_rate) * np.float32(peak)


def augment_audio(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A random chain of the above at a random signal-to-noise ratio. [n]"""
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
    # Seldom: it costs some 20 ms, twice what the rest of a window does.
    if rng.random() < 0.15:
        out = apply_random_codec(out.astype(np.float32), rng)
    return out.astype(np.float32)


def augment_mel(mel: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Shift the formants, tilt the spectrum, blank a few bands. [T, 80]"""
    num_bands = mel.shape[1]
    place = np.arange(num_bands) * rng.uniform(0.86, 1.16)
    rows = np.arange(len(mel))
    grid = np.stack(np.meshgrid(rows, place, indexing="ij"))
    warped = map_coordinates(mel, grid, order=1, mode="nearest")
    tilt = rng.uniform(-0.1, 0.1) * np.linspace(-1, 1, num_bands) + rng.uniform(-0.05, 0.05)
    knots = 0.05 * rng.standard_normal(7)
    tilt += np.interp(np.linspace(0, 6, num_bands), np.arange(7), knots)
    warped = np.where(warped > 0.02, np.maximum(warped + tilt, 0.0), warped)
    if rng.random() < 0.3:
        first = rng.integers(0, num_bands - 10)
        warped[:, first : first + rng.integers(3, 10)] = 0.0
    return warped.astype(np.float32)
