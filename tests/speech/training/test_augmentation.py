"""Augmentation: sounds without speech, and chains that keep length and silence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.training.augmentation import (
    augment_audio,
    augment_mel,
    breath_noise,
    colored_noise,
    music_noise,
)
from dubfew.speech.training.instruments import instrument_music


@pytest.mark.parametrize("make", [colored_noise, music_noise, breath_noise, instrument_music])
def test_sounds_without_speech_are_finite_and_audible(make: Callable) -> None:
    sound = make(SPEECH_SAMPLE_RATE_HZ, np.random.default_rng(1))
    assert sound.shape == (SPEECH_SAMPLE_RATE_HZ,)
    assert np.isfinite(sound).all()
    assert 0.05 < np.abs(sound).max() < 8


@pytest.mark.slow
def test_augmented_audio_keeps_its_length() -> None:
    rng = np.random.default_rng(2)
    samples = 0.1 * rng.standard_normal(2 * SPEECH_SAMPLE_RATE_HZ).astype(np.float32)
    for _ in range(10):
        augmented = augment_audio(samples, rng)
        assert augmented.shape == samples.shape
        assert augmented.dtype == np.float32


@pytest.mark.parametrize("bands", [80, 40])
def test_silence_stays_silent_in_mel_bands(bands: int) -> None:
    mel = augment_mel(np.zeros((7, bands), np.float32), np.random.default_rng(2))
    assert mel.shape == (7, bands)
    assert mel.max() == 0
