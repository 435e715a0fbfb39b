"""A voice without any dependency: babbled syllables through a formant synthesizer.

The babble cannot be understood. It has vowels, closures, hisses and pauses whose times are known
exactly, and a person's pitch and vocal tract length.

Source: Klatt 1980, "Software for a cascade/parallel formant synthesizer" (J. Acoust. Soc. Am. 67).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from dubfew.media.audio import Audio
from dubfew.speech.visemes import SILENCE_SYMBOL, Phone

# Sampling rate, that of speech recognizers. Twice the highest resonance must fit below it.
VOICE_SAMPLE_RATE_HZ = 16000
# Samples between changes of the filters, 5 ms: shorter costs time, longer makes steps audible.
FILTER_BLOCK_SAMPLES = 80
# Formants of the neutral tract, Hz: a tube of 17 cm that is closed at one end.
NEUTRAL_FORMANTS_HZ = (500.0, 1500.0, 2500.0)
# Bandwidths of the three formants and of the noise's resonance, Hz. Narrower ones ring like a bell,
# wider ones blur the vowels.
FORMANT_BANDWIDTHS_HZ, NOISE_BANDWIDTH_HZ = (70.0, 100.0, 160.0), 1500.0
# Highest resonance of the noise, Hz: below half of the sampling rate, whatever the tract's length.
MAX_NOISE_HZ = 7000.0
# A plosive's burst: its length (s) and loudness.
BURST_SECONDS, BURST_LEVEL = 0.018, 0.28
# Spread of the pitch's logarithm and the time between its turns, s: a steady
# pitch sounds sung.
PITCH_WAVER, PITCH_KNOT_SECONDS = 0.06, 0.2
# Breath in a voiced sound, and loudness of the noise against the voice.
BREATH_LEVEL, NOISE_GAIN = 0.015, 0.6
# Peak of the waveform, far from clipping.
PEAK_LEVEL = 0.35

# First three formants of an average man, Hz (Peterson and Barney 1952, rounded).
_VOWEL_FORMANTS_HZ = {
    "i": (270, 2290, 3010), "ɪ": (390, 1990, 2550), "ɛ": (530, 1840, 2480),  # noqa: RUF001
    "æ": (660, 1720, 2410), "a": (730, 1190, 2440), "ɔ": (570, 840, 2410),
    "o": (460, 880, 2380), "u": (300, 870, 2240), "ə": (500, 1400, 2450),
}  # fmt: skip


@dataclass(frozen=True)
class _Consonant:
    """How a consonant sounds.

    Attributes:
        formants_hz: resonances of the vocal tract.
        voicing_level: loudness of the voice; a vowel has 1.
        noise_level: loudness of the hiss.
        noise_hz: resonance of the hiss or burst.
        seconds: mean duration.
        has_burst: whether it ends with a burst, as plosives do.
    """

    formants_hz: tuple[int, int, int]
    voicing_level: float
    noise_level: float
    noise_hz: float
    seconds: float
    has_burst: bool = False


# Set by ear: classes of sounds must differ as they do in speech; words need not be understood.
_CONSONANTS = {
    "p": _Consonant((400, 900, 2200), 0.0, 0.0, 900, 0.10, True),
    "b": _Consonant((400, 900, 2200), 0.12, 0.0, 900, 0.08, True),
    "m": _Consonant((250, 1000, 2200), 0.45, 0.0, 900, 0.09),
    "t": _Consonant((400, 1700, 2600), 0.0, 0.0, 4500, 0.09, True),
    "d": _Consonant((400, 1700, 2600), 0.12, 0.0, 4000, 0.07, True),
    "n": _Consonant((250, 1500, 2500), 0.45, 0.0, 2000, 0.08),
    "k": _Consonant((350, 1900, 2300), 0.0, 0.0, 2200, 0.10, True),
    "ɡ": _Consonant((350, 1900, 2300), 0.12, 0.0, 2000, 0.08, True),  # noqa: RUF001
    "f": _Consonant((400, 1100, 2200), 0.0, 0.10, 5500, 0.11),
    "v": _Consonant((300, 1100, 2200), 0.35, 0.06, 5000, 0.08),
    "s": _Consonant((350, 1700, 2600), 0.0, 0.30, 6000, 0.12),
    "z": _Consonant((300, 1700, 2600), 0.30, 0.15, 6000, 0.09),
    "ʃ": _Consonant((350, 1800, 2500), 0.0, 0.35, 3000, 0.12),
    "l": _Consonant((360, 1200, 2700), 0.60, 0.0, 2000, 0.07),
    "r": _Consonant((350, 1200, 1700), 0.60, 0.0, 2000, 0.07),
    "w": _Consonant((300, 700, 2200), 0.60, 0.0, 2000, 0.08),
    "j": _Consonant((280, 2200, 3000), 0.60, 0.0, 2000, 0.07),
    "h": _Consonant((500, 1500, 2500), 0.0, 0.12, 1800, 0.07),
}  # fmt: skip


@dataclass(frozen=True)
class SyntheticSpeech:
    """Sound, and what is said when.

    Attributes:
        audio: mono sound.
        phones: speech sounds in order, without a gap from 0 to the end.
    """

    audio: Audio
    phones: tuple[Phone, ...]


def synthesize_babble(
    rng: np.random.Generator, seconds: float, *, pitch_hz: float = 120.0, tract_length: float = 1.0
) -> SyntheticSpeech:
    """Draw random syllables in phrases with pauses, and speak them.

    Args:
        rng: source of syllables, pitch and noise.
        seconds: length of the result.
        pitch_hz: mean pitch; men's voices are near 120 Hz, women's near 200 Hz.
        tract_length: length of the vocal tract over an average man's; formants scale inversely.
    """
    phones = _sample_phones(rng, seconds)
    return SyntheticSpeech(
        Audio(
            _synthesize_waveform(phones, rng, seconds, pitch_hz, tract_length), VOICE_SAMPLE_RATE_HZ
        ),
        phones,
    )


def _sample_phones(rng: np.random.Generator, seconds: float) -> tuple[Phone, ...]:
    """Draw phrases of syllables with pauses between them, cut off at the end."""
    sounds = [(SILENCE_SYMBOL, rng.uniform(0.15, 0.35))]
    phones: list[Phone] = []
    clock = 0.0
    while True:
        for symbol, duration in sounds:
            end = min(clock + duration, seconds)
            if end > clock:
                phones.append(Phone(symbol, clock, end))
            clock = end
        if clock >= seconds:
            return tuple(phones)
        sounds = _sample_phrase(rng)


def _sample_phrase(rng: np.random.Generator) -> list[tuple[str, float]]:
    """Draw 4 to 11 syllables and the pause behind them: symbols and durations, s."""
    sounds: list[tuple[str, float]] = []
    syllables = int(rng.integers(4, 12))
    for position in range(syllables):
        onset = str(rng.choice(list(_CONSONANTS)))
        sounds.append((onset, _CONSONANTS[onset].seconds * rng.uniform(0.8, 1.2)))
        nucleus = str(rng.choice(list(_VOWEL_FORMANTS_HZ)))
        # The last vowel of a phrase is drawn out.
        stretch = 1.7 if position == syllables - 1 else 1.0
        sounds.append((nucleus, rng.uniform(0.09, 0.17) * stretch))
        if rng.random() < 0.25:
            coda = str(rng.choice(["n", "m", "s", "l", "t", "k", "r"]))
            sounds.append((coda, _CONSONANTS[coda].seconds * rng.uniform(0.8, 1.1)))
    sounds.append((SILENCE_SYMBOL, rng.uniform(0.25, 0.7)))
    return sounds


@dataclass(frozen=True)
class _FilterTracks:
    """Settings of source and filters in B blocks.

    Attributes:
        formants_hz: first three resonances of the vocal tract. [B, 3]
        voicing: loudness of the voice. [B]
        noise: loudness of hisses and bursts. [B]
        noise_hz: resonance of the noise. [B]
    """

    formants_hz: NDArray[np.float64]
    voicing: NDArray[np.float64]
    noise: NDArray[np.float64]
    noise_hz: NDArray[np.float64]


def _synthesize_waveform(
    phones: tuple[Phone, ...],
    rng: np.random.Generator,
    seconds: float,
    pitch_hz: float,
    tract_length: float,
) -> NDArray[np.float32]:
    """Speak phones: a source and filters that change every 5 ms. [seconds * rate]"""
    count = max(1, round(seconds * VOICE_SAMPLE_RATE_HZ))
    blocks = -(-count // FILTER_BLOCK_SAMPLES)
    # Times of the blocks' middles.
    clock = (np.arange(blocks) + 0.5) * FILTER_BLOCK_SAMPLES / VOICE_SAMPLE_RATE_HZ
    tracks = _plan_filters(phones, clock)
    source = _glottal_source(rng, clock, count, seconds, pitch_hz)
    noise = rng.normal(0, 1, count)
    padding = blocks * FILTER_BLOCK_SAMPLES - count
    out = _filter_blocks(
        tracks, np.pad(source, (0, padding)), np.pad(noise, (0, padding)), tract_length
    )
    out = out[:count]
    # Equally loud whatever was said.
    return (PEAK_LEVEL * out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def _plan_filters(phones: tuple[Phone, ...], clock: NDArray) -> _FilterTracks:
    """Set source and filters for the phone in every block, then smooth them over time."""
    blocks = len(clock)
    formants = np.tile(NEUTRAL_FORMANTS_HZ, (blocks, 1))
    voiced, hiss, hiss_at = np.zeros(blocks), np.zeros(blocks), np.full(blocks, 2000.0)
    for phone in phones:
        rows = (clock >= phone.start) & (clock < phone.end)
        if phone.symbol in _VOWEL_FORMANTS_HZ:
            formants[rows], voiced[rows] = _VOWEL_FORMANTS_HZ[phone.symbol], 1.0
        elif phone.symbol in _CONSONANTS:
            sound = _CONSONANTS[phone.symbol]
            formants[rows], voiced[rows] = sound.formants_hz, sound.voicing_level
            hiss[rows], hiss_at[rows] = sound.noise_level, sound.noise_hz
            if sound.has_burst:
                release = rows & (clock > phone.end - BURST_SECONDS)
                hiss[release], voiced[release] = BURST_LEVEL, sound.voicing_level
    # Tongue and lips take some 20 ms to move; bursts are sudden, so noise is smoothed over 10.
    window = np.hanning(7)[1:-1]
    window /= window.sum()
    return _FilterTracks(
        np.stack([np.convolve(np.pad(f, 2, "edge"), window, "valid") for f in formants.T], 1),
        np.convolve(np.pad(voiced, 2, "edge"), window, "valid"),
        np.convolve(np.pad(hiss, 1, "edge"), [0.25, 0.5, 0.25], "valid"),
        hiss_at,
    )


def _glottal_source(
    rng: np.random.Generator, clock: NDArray, count: int, seconds: float, pitch_hz: float
) -> NDArray[np.float64]:
    """Pulses of the vocal folds at a pitch that wavers. [count]"""
    knots = np.arange(0, seconds + PITCH_KNOT_SECONDS, PITCH_KNOT_SECONDS)
    waver = np.interp(clock, knots, rng.normal(0, PITCH_WAVER, len(knots)))
    melody = np.repeat(pitch_hz * np.exp(waver), FILTER_BLOCK_SAMPLES)[:count]
    # One pulse whenever the phase passes a whole number.
    phase = np.cumsum(melody / VOICE_SAMPLE_RATE_HZ)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    # A glottal pulse is a decaying slope: two real poles, then a zero at 0 Hz.
    source = lfilter([1.0], [1.0, -1.88, 0.8836], pulses)
    return np.diff(source, prepend=0.0)


def _filter_blocks(
    tracks: _FilterTracks, source: NDArray, noise: NDArray, tract_length: float
) -> NDArray[np.float64]:
    """Send source and noise through resonators that change from block to block."""
    out = np.zeros(len(source))
    # Filters keep their state from block to block, or every change would click.
    states = [np.zeros(2) for _ in range(4)]
    for block in range(len(tracks.voicing)):
        span = slice(block * FILTER_BLOCK_SAMPLES, (block + 1) * FILTER_BLOCK_SAMPLES)
        voicing = tracks.voicing[block]
        sound = source[span] * voicing + noise[span] * BREATH_LEVEL * voicing
        for index in range(3):
            b, a = _resonator_coefficients(
                tracks.formants_hz[block, index] / tract_length, FORMANT_BANDWIDTHS_HZ[index]
            )
            sound, states[index] = lfilter(b, a, sound, zi=states[index])
        b, a = _resonator_coefficients(
            min(tracks.noise_hz[block] / tract_length, MAX_NOISE_HZ), NOISE_BANDWIDTH_HZ
        )
        breath, states[3] = lfilter(b, a, noise[span] * tracks.noise[block], zi=states[3])
        out[span] = sound + NOISE_GAIN * breath
    return out


def _resonator_coefficients(frequency: float, bandwidth: float) -> tuple[NDArray, NDArray]:
    """Coefficients b, a of a two-pole resonator with unit gain at 0 Hz (Klatt 1980, eq. 2)."""
    radius = np.exp(-np.pi * bandwidth / VOICE_SAMPLE_RATE_HZ)
    a = np.array(
        [1.0, -2 * radius * np.cos(2 * np.pi * frequency / VOICE_SAMPLE_RATE_HZ), radius**2]
    )
    return np.array([a.sum()]), a
