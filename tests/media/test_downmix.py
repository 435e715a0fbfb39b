"""The mono mix never cancels what is heard."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.media import read_audio
from dubfew.media.downmix import MonoDownmixer
from tests.footage import ACTOR
from tests.media.pictures import sine

RATE = 16000


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_audio(ACTOR, seconds=3).samples


def mix(samples: np.ndarray, names: tuple[str, ...] = (), block: int = 1024) -> np.ndarray:
    mixer = MonoDownmixer(names, len(samples), RATE)
    parts = [mixer.mix(samples[:, n : n + block]) for n in range(0, samples.shape[1], block)]
    return np.concatenate(parts, 1)[0]


def level(samples: np.ndarray) -> float:
    return float(np.sqrt((samples**2).mean()))


def test_opposite_channels_do_not_cancel(speech):
    found = mix(np.stack([speech, -speech]), ("FL", "FR"))
    assert np.abs(found - speech).max() < 1e-6


def test_three_channels_of_which_one_is_turned_over(speech):
    found = mix(np.stack([speech, speech, -0.5 * speech]))
    assert level(found) == pytest.approx(level(speech) * 2.5 / 3, rel=0.01)


def test_polarity_that_changes_midway(speech):
    half = len(speech) // 2
    right = np.concatenate([speech[:half], -speech[half:]])
    found = mix(np.stack([speech, right]))
    late = slice(half + RATE, None)  # after the comparison's memory
    assert level(found[late]) > 0.9 * level(speech[late])
    assert np.abs(found[:half] - speech[:half]).max() < 1e-6


def test_opposite_speech_over_hum_that_is_not_opposite(speech):
    hum = np.resize(sine(1.0, RATE, 50.0), len(speech))
    found = mix(np.stack([speech + hum, hum - speech]))
    # The hum is what is lost, if anything: speech is in the mix at its own level.
    assert np.corrcoef(np.diff(found), np.diff(speech))[0, 1] > 0.95


def test_independent_channels_are_a_plain_mean(speech):
    other = np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32) * 0.05
    found = mix(np.stack([speech, other]), ("FL", "FR"))
    assert np.allclose(found, (speech + other) / 2, atol=1e-6)


def test_empty_channels_without_places_do_not_count(speech):
    channels = np.zeros((60, len(speech)), np.float32)
    channels[37] = speech
    assert level(mix(channels)) == pytest.approx(level(speech), rel=0.05)


def test_speech_on_the_channel_of_the_bass_is_heard(speech):
    names = ("FL", "FR", "FC", "LFE", "BL", "BR")
    channels = np.zeros((6, len(speech)), np.float32)
    channels[3] = speech
    assert level(mix(channels, names)) > 0.05 * level(speech)
    channels[3] = np.resize(sine(1.0, RATE, 60.0), len(speech))
    assert level(mix(channels, names)) == 0
