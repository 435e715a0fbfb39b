"""The voice: sounds begin when the phones say, at the pitch and with the resonances asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dubfew.speech.visemes import SILENCE_SYMBOL, Phone
from dubfew.synthetic.voice import (
    _CONSONANTS,
    _VOWEL_FORMANTS_HZ,
    FILTER_BLOCK_SAMPLES,
    VOICE_SAMPLE_RATE_HZ,
    _resonator_coefficients,
    _synthesize_waveform,
    synthesize_babble,
)


def say(*phones: Phone, pitch_hz: float = 120.0, tract_length: float = 1.0, seed: int = 0):
    """The waveform of some phones, to the end of the last one."""
    rng = np.random.default_rng(seed)
    return _synthesize_waveform(phones, rng, phones[-1].end, pitch_hz, tract_length)


def loudness(samples, start, end):
    """Root mean square between two times, s."""
    part = samples[int(start * VOICE_SAMPLE_RATE_HZ) : int(end * VOICE_SAMPLE_RATE_HZ)]
    return float(np.sqrt((part.astype(float) ** 2).mean()))


def spectrum(samples, start, end):
    """Frequencies (Hz) and magnitudes between two times."""
    part = samples[int(start * VOICE_SAMPLE_RATE_HZ) : int(end * VOICE_SAMPLE_RATE_HZ)]
    magnitude = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return np.fft.rfftfreq(len(part), 1 / VOICE_SAMPLE_RATE_HZ), magnitude


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.333, 4.0])
def test_babble_has_its_length_without_a_gap(seconds):
    speech = synthesize_babble(np.random.default_rng(1), seconds)
    assert len(speech.audio.samples) == max(1, round(seconds * VOICE_SAMPLE_RATE_HZ))
    assert speech.audio.rate == VOICE_SAMPLE_RATE_HZ
    assert np.abs(speech.audio.samples).max() <= 0.35
    for a, b in pairwise(speech.phones):
        assert a.end == b.start
        assert a.end > a.start
    if speech.phones:
        assert speech.phones[0].start == 0
        assert speech.phones[0].symbol == SILENCE_SYMBOL
        assert speech.phones[-1].end == pytest.approx(seconds)


def test_babble_is_decided_by_its_random_numbers():
    first, again, other = (synthesize_babble(np.random.default_rng(s), 1.0) for s in (1, 1, 2))
    assert first.phones == again.phones
    np.testing.assert_array_equal(first.audio.samples, again.audio.samples)
    assert first.phones != other.phones


@pytest.mark.slow
def test_babble_has_syllables_and_pauses_of_human_length():
    phones = synthesize_babble(np.random.default_rng(0), 20.0).phones[:-1]
    known = {*_CONSONANTS, *_VOWEL_FORMANTS_HZ, SILENCE_SYMBOL}
    assert {phone.symbol for phone in phones} <= known
    vowels = [p.end - p.start for p in phones if p.symbol in _VOWEL_FORMANTS_HZ]
    pauses = [p.end - p.start for p in phones if p.symbol == SILENCE_SYMBOL]
    assert min(vowels) >= 0.09
    assert max(vowels) <= 0.17 * 1.7 + 1e-9
    assert 2.5 < len(vowels) / 20 < 6  # syllables a second
    assert min(pauses) > 0.1
    assert max(pauses) <= 0.7 + 1e-9
    # Every vowel has a consonant before it.
    for before, phone in pairwise(phones):
        if phone.symbol in _VOWEL_FORMANTS_HZ:
            assert before.symbol in _CONSONANTS


def test_pauses_are_silent():
    speech = synthesize_babble(np.random.default_rng(1), 4.0)
    levels = {True: [], False: []}
    for phone in speech.phones:
        if phone.symbol in (SILENCE_SYMBOL, "a", "i", "u") and phone.end - phone.start > 0.05:
            level = loudness(speech.audio.samples, phone.start + 0.02, phone.end)
            levels[phone.symbol == SILENCE_SYMBOL].append(level)
    assert max(levels[True]) < 0.3 * min(levels[False])


@pytest.mark.parametrize("onset", [0.2, 0.345, 0.5])
def test_a_voice_begins_within_a_few_milliseconds_of_its_phone(onset):
    samples = say(Phone(SILENCE_SYMBOL, 0, onset), Phone("a", onset, onset + 0.4))
    level = np.array([loudness(samples, t, t + 0.01) for t in np.arange(0, onset + 0.3, 0.005)])
    vowel = loudness(samples, onset + 0.1, onset + 0.3)
    first = 0.005 * np.nonzero(level > 0.2 * vowel)[0][0]
    # Filters change every 5 ms and are smoothed over 20.
    assert first == pytest.approx(onset, abs=0.02)
    assert loudness(samples, 0, onset - 0.02) < 0.01 * vowel


def test_a_plosive_is_silent_until_its_burst():
    samples = say(Phone("a", 0, 0.3), Phone("t", 0.3, 0.5), Phone("a", 0.5, 0.8))
    vowel = loudness(samples, 0.1, 0.25)
    assert loudness(samples, 0.36, 0.46) < 0.05 * vowel
    assert loudness(samples, 0.483, 0.5) > 3 * loudness(samples, 0.36, 0.46)


def test_a_hiss_is_high_and_a_hum_is_low():
    frequency, hiss = spectrum(say(Phone("s", 0, 0.5)), 0.1, 0.4)
    _, hum = spectrum(say(Phone("m", 0, 0.5)), 0.1, 0.4)
    high = frequency > 4000
    assert (hiss[high] ** 2).sum() > 0.6 * (hiss**2).sum()
    assert (hum[frequency < 1000] ** 2).sum() > 0.8 * (hum**2).sum()


@pytest.mark.parametrize("pitch_hz", [100.0, 150.0, 220.0])
def test_a_voice_has_its_pitch(pitch_hz):
    samples = say(Phone("ə", 0, 1.0), pitch_hz=pitch_hz).astype(float)[3200:12800]
    lags = np.arange(int(16000 / 300), int(16000 / 70))
    likeness = [np.dot(samples[:-lag], samples[lag:]) / (len(samples) - lag) for lag in lags]
    # The pitch wavers by 6 % about its mean.
    assert VOICE_SAMPLE_RATE_HZ / lags[np.argmax(likeness)] == pytest.approx(pitch_hz, rel=0.12)


def peaks(symbol, tract_length=1.0):
    """The strongest resonance below and above 1300 Hz, from a voice of 60 Hz, Hz."""
    samples = say(Phone(symbol, 0, 2.0), pitch_hz=60.0, tract_length=tract_length)
    frequency, magnitude = spectrum(samples, 0.2, 1.8)
    smooth = np.convolve(magnitude * np.maximum(frequency, 50), np.hanning(129), "same")
    low = (frequency > 200) & (frequency < 1000)
    high = (frequency > 1600) & (frequency < 2700)
    return frequency[low][smooth[low].argmax()], frequency[high][smooth[high].argmax()]


@pytest.mark.parametrize("symbol", ["æ", "ɛ"])
def test_vowels_have_their_formants(symbol):
    first, second, _ = _VOWEL_FORMANTS_HZ[symbol]
    low, high = peaks(symbol)
    assert low == pytest.approx(first, abs=80)
    assert high == pytest.approx(second, abs=150)


def test_a_shorter_tract_has_higher_formants():
    long, short = peaks("ɛ", 1.0), peaks("ɛ", 0.85)
    assert short[0] / long[0] == pytest.approx(1 / 0.85, rel=0.1)
    assert short[1] / long[1] == pytest.approx(1 / 0.85, rel=0.1)


def test_resonators_ring_at_their_frequency_with_unit_gain_at_0():
    b, a = _resonator_coefficients(1000.0, 80.0)
    frequency = np.linspace(0, 4000, 4001)
    z = np.exp(-2j * np.pi * frequency / VOICE_SAMPLE_RATE_HZ)
    gain = np.abs(b[0] / (a[0] + a[1] * z + a[2] * z**2))
    assert gain[0] == pytest.approx(1)
    assert frequency[gain.argmax()] == pytest.approx(1000, abs=5)
    wide = frequency[gain > gain.max() / np.sqrt(2)]
    assert wide[-1] - wide[0] == pytest.approx(80, rel=0.1)


def test_blocks_are_five_milliseconds():
    assert FILTER_BLOCK_SAMPLES / VOICE_SAMPLE_RATE_HZ == 0.005
