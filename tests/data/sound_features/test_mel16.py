"""Wav2Lip's mel spectrogram against a closed form and a transform written down as it is defined."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.data.sound_features import SOUND_FEATURES, cut_sound_window
from dubfew.data.sound_features.mel16 import SOUND_FEATURE, mel16_spectrogram
from dubfew.errors import ArtefactError


def slaney_mel(hz: float) -> float:
    """Slaney's scale, from its definition."""
    return 3 * hz / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def slaney_hz(mel: float) -> float:
    return 200 * mel / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def triangle(hz: float, band: int) -> float:
    """Weight of a frequency in a band of area 1."""
    low, top = slaney_mel(55), slaney_mel(7600)
    edges = [slaney_hz(low + (top - low) * (band + k) / 81) for k in range(3)]
    rising = (hz - edges[0]) / (edges[1] - edges[0])
    falling = (edges[2] - hz) / (edges[2] - edges[1])
    return max(0.0, min(rising, falling)) * 2 / (edges[2] - edges[0])


def normalize(magnitude: float) -> float:
    return min(4.0, max(-4.0, 8 * (20 * math.log10(max(1e-5, magnitude)) - 20 + 100) / 100 - 4))


def test_a_tone_on_a_bin_has_its_closed_form() -> None:
    # The Hann window's transform at a bin of its own is N / 4 times the amplitude, half of that at
    # the bins beside it, and nothing elsewhere; pre-emphasis multiplies by |1 - 0.97 e^-iw|.
    hz, amplitude = 2000.0, 0.4  # bins are 20 Hz apart
    tone = amplitude * np.sin(2 * np.pi * hz * np.arange(8000) / 16000)
    found = mel16_spectrogram(tone.astype(np.float32))
    assert found.shape == (41, 80)
    emphasis = abs(1 - 0.97 * np.exp(-2j * np.pi * hz / 16000))
    peak = amplitude * emphasis * 800 / 4
    for band in range(80):
        weights = [triangle(f, band) for f in (hz - 20, hz, hz + 20)]
        expected = normalize(peak * (weights[1] + (weights[0] + weights[2]) / 2))
        if expected > -2:  # below, what the tone's ends and rounding leave counts as well
            assert found[20, band] == pytest.approx(expected, abs=2e-3)
    assert found[20].max() > 1


def test_the_definition_in_double_precision() -> None:
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(1700)).astype(np.float32)
    found = mel16_spectrogram(samples)
    assert found.shape == (9, 80)
    emphasized = np.concatenate([samples[:1], samples[1:] - 0.97 * samples[:-1]]).astype(float)
    mirrored = np.concatenate([emphasized[400:0:-1], emphasized, emphasized[-2:-402:-1]])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800)
    transform = np.exp(-2j * np.pi * np.outer(np.arange(401), np.arange(800)) / 800)
    for column in (0, 4, 8):
        piece = mirrored[200 * column : 200 * column + 800] * window
        magnitude = np.abs(transform @ piece)
        for band in (0, 17, 79):
            weights = np.array([triangle(20 * k, band) for k in range(401)])
            assert found[column, band] == pytest.approx(normalize(weights @ magnitude), abs=1e-4)


def test_librosa_computes_the_same() -> None:
    """Librosa with Wav2Lip's settings; it is no dependency and may be absent."""
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(1)
    samples = (0.2 * rng.standard_normal(16000)).astype(np.float32)
    emphasized = np.append(samples[0], samples[1:] - np.float32(0.97) * samples[:-1])
    spectrum = librosa.stft(
        emphasized, n_fft=800, hop_length=200, win_length=800, pad_mode="reflect"
    )
    basis = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    level = 20 * np.log10(np.maximum(1e-5, basis @ np.abs(spectrum))) - 20
    expected = np.clip(8 * (level + 100) / 100 - 4, -4, 4)
    np.testing.assert_allclose(mel16_spectrogram(samples), expected.T, atol=1e-3)


def test_silence_is_the_lowest_value_and_short_sounds_have_a_step() -> None:
    assert (mel16_spectrogram(np.zeros(1000, np.float32)) == -4).all()
    assert mel16_spectrogram(np.ones(1, np.float32)).shape == (1, 80)
    assert mel16_spectrogram(np.zeros(0, np.float32)).tolist() == [[-4.0] * 80]


def test_a_window_begins_where_wav2lip_has_it() -> None:
    steps = np.tile(np.arange(200, dtype=np.float32)[:, None], (1, 80))
    # The five frames 3 to 7 around frame 5 begin at int(80 * 3 / 25) = 9.
    window = cut_sound_window(SOUND_FEATURE, steps, 5 / 25)
    assert window.shape == (80, 16)
    assert window[0].tolist() == list(range(9, 25))
    # 80 * 5 / 25 is 16 exactly, and floats must not fall below it.
    starts = [cut_sound_window(SOUND_FEATURE, steps, k / 25)[0, 0] for k in (7, 12, 57)]
    assert starts == [16, 32, 176]


def test_names() -> None:
    assert set(SOUND_FEATURES.names) >= {"mel16", "deepspeech", "wav2vec2_ctc"}
    with pytest.raises(ArtefactError, match="no sound feature"):
        SOUND_FEATURES.load("mfcc")
