"""Random instrumental music, for a detector of speech to learn what no speech is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.utils.arrays import FloatArray

# Steps of a major and a minor scale above their root, semitones.
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
# Range of the tempo, eighth notes a minute: from a slow ballad to fast dance music.
_EIGHTHS_PER_MINUTE = (120, 320)
# Highest partial, Hz, below half of the sample rate; and most partials of a note.
_MAX_PARTIAL_HZ, _MAX_PARTIALS = 7600.0, 24
# Longest note, s; and the fade at its end, s.
_MAX_NOTE_SECONDS, _RELEASE_SECONDS = 1.9, 0.03
# Parts of a piece: a melody, chords, a bass, drums.
_MELODY, _CHORDS, _BASS, _DRUMS = range(4)
_PART_PROBABILITY = (0.35, 0.25, 0.25, 0.15)


@dataclass(frozen=True)
class _Timbre:
    """A random instrument.

    Attributes:
        vibrato: depth as a fraction of the pitch.
        vibrato_hz: its rate.
        odd_only: only odd partials sound, as in a clarinet.
        slope: exponent by which partials fall.
        resonances: center and width (Hz) and gain of the body's resonances.
        attack: time to full loudness, s.
        decay: time constant of the fall, s.
        damping: how much faster each higher partial falls.
        stiffness: inharmonicity of a stiff string.
        breath: noise beside the tone.
    """

    vibrato: float
    vibrato_hz: float
    odd_only: bool
    slope: float
    resonances: tuple[tuple[float, float, float], ...]
    attack: float
    decay: float
    damping: float
    stiffness: float
    breath: float


def instrument_music(length: int, rng: np.random.Generator) -> FloatArray:
    """Play random instruments, sustained and plucked, with drums, with a peak of 1.

    Chords of plain tones (`music_noise`) are too easy: a model that rests in all but one in twenty
    of them opens its mouth in seven of ten pieces of sampled instruments.

    Args:
        length: number of samples.
        rng: source of randomness.

    Returns:
        Samples at 16 kHz. [length]
    """
    sound = np.zeros(length + 2 * SPEECH_SAMPLE_RATE_HZ)
    scale = _SCALES[rng.integers(2)]
    step_seconds = 60 / rng.uniform(*_EIGHTHS_PER_MINUTE)
    root = int(rng.integers(36, 56))  # MIDI numbers: C2 to G3
    kinds = sorted(set(rng.choice(4, 3, p=_PART_PROBABILITY).tolist()))
    parts = [(kind, _draw_timbre(rng), rng.uniform(0.3, 1.0)) for kind in kinds]
    drums = [_strike_drum(rng) for _ in range(3)]
    degree = 0
    for step in range(int(length / SPEECH_SAMPLE_RATE_HZ / step_seconds) + 1):
        start = int(step * step_seconds * SPEECH_SAMPLE_RATE_HZ)
        if step % 4 == 0:
            degree = int(rng.integers(7))
        for kind, timbre, gain in parts:
            if kind == _DRUMS:
                sounds = [drums[(0, 2, 1, 2)[step % 4]]]
            else:
                sounds = [
                    _play_note(440 * 2 ** ((note - 69) / 12), seconds, timbre, rng)
                    for note, seconds in _notes_of(kind, step, degree, scale, root, rng)
                    for seconds in [min(seconds * step_seconds, _MAX_NOTE_SECONDS)]
                ]
            for each in sounds:
                room = sound[start : start + len(each)]
                room += gain * each[: len(room)]
    sound = sound[:length]
    return (sound / (np.abs(sound).max(initial=0.0) + 1e-9)).astype(np.float32)


def _notes_of(
    kind: int,
    step: int,
    degree: int,
    scale: tuple[int, ...],
    root: int,
    rng: np.random.Generator,
) -> list[tuple[int, float]]:
    """Choose the notes of one part that begin at a step: MIDI numbers, and lengths in steps."""
    if kind == _MELODY and rng.random() < 0.8:
        octave = 12 * int(rng.integers(1, 3))
        return [(root + octave + scale[rng.integers(7)], rng.uniform(0.6, 2))]
    if kind == _CHORDS and step % 4 == 0:
        places = (degree, degree + 2, degree + 4)
        return [
            (root + 12 + scale[place % 7] + 12 * (place // 7), 4 * rng.uniform(0.5, 1))
            for place in places
        ]
    if kind == _BASS and step % 2 == 0:
        return [(root + scale[degree] - (12 if root > 40 else 0), 2 * rng.uniform(0.5, 1))]
    return []


def _draw_timbre(rng: np.random.Generator) -> _Timbre:
    """Draw an instrument: half of them sustain, half are plucked or struck."""
    sustains = rng.random() < 0.5
    return _Timbre(
        vibrato=float(rng.choice([0, rng.uniform(0.001, 0.012)])),
        vibrato_hz=rng.uniform(4, 7),
        odd_only=bool(rng.random() < 0.2),
        slope=rng.uniform(0.3, 2.2),
        resonances=tuple(
            (rng.uniform(200, 4000), rng.uniform(100, 600), rng.uniform(0, 6))
            for _ in range(rng.integers(0, 4))
        ),
        attack=rng.uniform(0.03, 0.2) if sustains else rng.uniform(0.002, 0.01),
        decay=rng.uniform(3, 20) if sustains else rng.uniform(0.08, 1.2),
        damping=0.0 if sustains else rng.uniform(0, 0.6),
        stiffness=0.0 if sustains else float(rng.choice([0, 10 ** rng.uniform(-5, -2.5)])),
        breath=float(rng.choice([0, 0, rng.uniform(0.01, 0.2)])),
    )


def _play_note(
    pitch_hz: float, seconds: float, timbre: _Timbre, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Add the partials of one note, with a peak of 1. [n]"""
    t = np.arange(int(seconds * SPEECH_SAMPLE_RATE_HZ)) / SPEECH_SAMPLE_RATE_HZ
    # Vibrato sets in over a fifth of a second.
    swing = np.sin(2 * np.pi * timbre.vibrato_hz * t + rng.uniform(0, 6)) * np.minimum(t / 0.2, 1)
    phase = 2 * np.pi * pitch_hz * np.cumsum(1 + timbre.vibrato * swing) / SPEECH_SAMPLE_RATE_HZ
    partials = np.arange(1, int(min(_MAX_PARTIALS, _MAX_PARTIAL_HZ / pitch_hz)) + 1)
    partials = partials[:: 2 if timbre.odd_only else 1]
    size = partials**-timbre.slope * np.exp(rng.normal(0, 0.4, len(partials)))
    for center, width, gain in timbre.resonances:
        size = size * (1 + gain * np.exp(-(((partials * pitch_hz - center) / width) ** 2)))
    sound = np.zeros(len(t))
    for k, each in zip(partials, size, strict=True):
        fall = np.exp(-t / timbre.decay * (1 + timbre.damping * (k - 1)))
        stretched = k * np.sqrt(1 + timbre.stiffness * k * k)
        sound += each * fall * np.sin(stretched * phase + rng.uniform(0, 6))
    sound += timbre.breath * 0.3 * size.sum() * rng.standard_normal(len(t))
    sound *= np.minimum(t / timbre.attack, 1)
    release = min(len(t), int(_RELEASE_SECONDS * SPEECH_SAMPLE_RATE_HZ))
    sound[len(t) - release :] *= np.linspace(1, 0, release)
    return sound / (np.abs(sound).max(initial=0.0) + 1e-9)


def _strike_drum(rng: np.random.Generator) -> NDArray[np.float64]:
    """Make a bass drum, a snare or a cymbal. [n]"""
    t = np.arange(SPEECH_SAMPLE_RATE_HZ // 4) / SPEECH_SAMPLE_RATE_HZ
    kind = rng.integers(3)
    if kind == 0:  # a tone that falls from 170 to 50 Hz
        hz = 50 + 120 * np.exp(-t / 0.03)
        return np.sin(2 * np.pi * np.cumsum(hz) / SPEECH_SAMPLE_RATE_HZ) * np.exp(-t / 0.1)
    low = rng.uniform(150, 1500) if kind == 1 else rng.uniform(3000, 6000)
    band = [low, min(7800.0, low * rng.uniform(2, 5))]
    sos = butter(2, band, "bandpass", fs=SPEECH_SAMPLE_RATE_HZ, output="sos")
    return sosfilt(sos, rng.standard_normal(len(t))) * np.exp(-t / rng.uniform(0.02, 0.12))
