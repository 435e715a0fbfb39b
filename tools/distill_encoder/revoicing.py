"""Recorded speech in voices of nobody: pitch, vocal tract and speed changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ

# Half ranges of the logarithms of the factors: pitch by half an octave and more, vocal tracts from
# a child's to a large man's, speed (with pitch and tract) by a sixth. More sounds unnatural.
PITCH_RANGE, TRACT_RANGE, SPEED_RANGE = 0.45, 0.17, 0.16


def change_voice(samples: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Synthesize speech again by the WORLD vocoder with another pitch and vocal tract.

    Args:
        samples: mono at 16 kHz. [n]
        rng: source of randomness.

    Returns:
        As many samples, every sound at its time. [n]

    Source: Morise et al. 2016, WORLD: A Vocoder-Based High-Quality Speech Synthesis System.
    """
    import pyworld

    rate = SPEECH_SAMPLE_RATE_HZ
    sound = samples.astype(np.float64)
    pitch, times = pyworld.dio(sound, rate)
    pitch = pyworld.stonemask(sound, pitch, times, rate)
    envelope = pyworld.cheaptrick(sound, pitch, times, rate)
    aperiodicity = pyworld.d4c(sound, pitch, times, rate)
    # A shorter vocal tract stretches the envelope along frequency.
    tract = np.exp(rng.uniform(-TRACT_RANGE, TRACT_RANGE))
    place = np.minimum(np.arange(envelope.shape[1]) / tract, envelope.shape[1] - 1)
    lower = place.astype(int)
    upper = np.minimum(lower + 1, envelope.shape[1] - 1)
    logarithm, share = np.log(envelope), place - lower
    warped = np.exp(logarithm[:, lower] * (1 - share) + logarithm[:, upper] * share)
    pitch = pitch * np.exp(rng.uniform(-PITCH_RANGE, PITCH_RANGE))
    found = pyworld.synthesize(pitch, np.ascontiguousarray(warped), aperiodicity, rate)
    found = np.pad(found, (0, max(0, len(samples) - len(found))))[: len(samples)]
    return (found / max(1e-4, np.abs(found).max()) * np.abs(samples).max()).astype(np.float32)


def change_speed(
    samples: NDArray[np.float32], rng: np.random.Generator, half_range: float = SPEED_RANGE
) -> NDArray[np.float32]:
    """Play speech faster or slower, which moves its pitch and its formants along.

    Args:
        samples: mono. [n]
        rng: source of randomness.
        half_range: largest logarithm of the factor.

    Returns:
        Mono samples. [m]
    """
    percent = round(100 * float(np.exp(rng.uniform(-half_range, half_range))))
    return resample_poly(samples, 100, percent).astype(np.float32)
