"""Training windows of synthetic, filmed and silent recordings."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import load_encoder
from dubfew.speech.espeak import get_synthesizer
from dubfew.speech.training.examples import (
    HELD_OUT_LANGUAGES,
    HELD_OUT_VARIANTS,
    TRAINING_VARIANTS,
    WINDOW_ROWS,
    recording_from_clip,
    recording_from_utterance,
    sample_window,
    silent_recording,
    training_languages,
)
from dubfew.speech.viseme_basis import load_viseme_basis
from tests.speech.clips import spoken_clip


def test_held_out_voices_and_languages_are_not_trained_on() -> None:
    assert not set(HELD_OUT_VARIANTS) & set(TRAINING_VARIANTS)
    assert not set(HELD_OUT_LANGUAGES) & set(training_languages())


def test_windows_have_the_promised_shape() -> None:
    rng = np.random.default_rng(0)
    utterance = get_synthesizer().synthesize("Ja, ja.", "de")
    spoken = recording_from_utterance(utterance, load_viseme_basis())
    filmed = recording_from_clip(spoken_clip(), 0.0)
    for recordings in ([spoken, spoken], [silent_recording(rng)], [filmed]):
        for _ in range(4):
            window = sample_window(recordings, rng, len(MOUTH_POINTS), load_encoder())
            assert window.features.shape == (2 * WINDOW_ROWS, 80)
            assert window.displacement.shape == (WINDOW_ROWS, len(MOUTH_POINTS), 3)
            assert window.voice_activity.shape == (WINDOW_ROWS,)
            assert np.isfinite(window.features).all()


def test_silent_windows_rest() -> None:
    rng = np.random.default_rng(0)
    window = sample_window([silent_recording(rng)], rng, len(MOUTH_POINTS), load_encoder())
    assert window.voice_activity.max() == 0
    assert np.abs(window.displacement).max() == 0


def test_filmed_clips_have_a_common_amplitude() -> None:
    clip = spoken_clip()
    louder = type(clip)(
        clip.name,
        clip.samples,
        type(clip.motion)(clip.motion.displacement * np.float32(1.3), clip.motion.times),
    )
    a, b = (recording_from_clip(each, 0.0).displacement for each in (clip, louder))
    np.testing.assert_allclose(a, b, atol=1e-5)
