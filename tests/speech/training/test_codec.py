"""Lossy coding: the sound changes, its timing does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import correlate

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.training.augmentation import apply_random_codec
from dubfew.speech.training.codec import SPEECH_CODECS, LossyCodec, apply_codec, available_codecs


def syllables(seconds: float = 2.0) -> np.ndarray:
    """Bursts of noise between 200 and 3000 Hz, which every codec here carries."""
    rng = np.random.default_rng(0)
    count = int(seconds * SPEECH_SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / SPEECH_SAMPLE_RATE_HZ)
    spectrum *= (frequency > 200) & (frequency < 3000)
    t = np.arange(count) / SPEECH_SAMPLE_RATE_HZ
    sound = np.fft.irfft(spectrum, count) * np.maximum(0, np.sin(2 * np.pi * 3.1 * t))
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


EVERY = [(codec, rate) for codec in available_codecs() for rate in codec.bit_rates or (None,)]


@pytest.mark.parametrize(("codec", "bit_rate"), EVERY, ids=lambda x: getattr(x, "name", str(x)))
def test_coding_changes_the_sound_but_not_its_timing(
    codec: LossyCodec, bit_rate: int | None
) -> None:
    sound = syllables()
    decoded = apply_codec(sound, codec, bit_rate)
    assert decoded.shape == sound.shape
    assert decoded.dtype == np.float32
    lag = int(np.argmax(correlate(decoded, sound))) - (len(sound) - 1)
    assert abs(lag) <= SPEECH_SAMPLE_RATE_HZ / 1000
    # The envelope, which low rates keep where they do not keep the wave.
    window = np.hanning(320)
    a, b = (np.convolve(np.abs(x), window, "same") for x in (sound, decoded))
    assert np.corrcoef(a, b)[0, 1] > 0.9
    assert np.sqrt(np.mean((decoded - sound) ** 2)) > 0.005 * np.sqrt(np.mean(sound**2))


def test_wheels_of_pyav_have_every_codec() -> None:
    assert available_codecs() == SPEECH_CODECS


@pytest.mark.parametrize("count", [0, 1, 50, 333, 2000])
def test_short_sounds_keep_their_length(count: int) -> None:
    sound = syllables()[5000 : 5000 + count]
    for codec in available_codecs():
        decoded = apply_codec(sound, codec, min(codec.bit_rates, default=None))
        assert decoded.shape == (count,)
        assert np.isfinite(decoded).all()


@pytest.mark.slow
def test_augmentation_keeps_level_and_silence_and_is_seeded() -> None:
    loud = 4 * syllables()
    for seed in range(6):
        decoded = apply_random_codec(loud, np.random.default_rng(seed))
        again = apply_random_codec(loud, np.random.default_rng(seed))
        np.testing.assert_array_equal(decoded, again)
        assert 0.5 < decoded.std() / loud.std() < 1.5
        silence = apply_random_codec(
            np.zeros(SPEECH_SAMPLE_RATE_HZ, np.float32), np.random.default_rng(seed)
        )
        assert np.abs(silence).max() < 1e-3
