"""Training windows of synthetic, filmed and silent recordings."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import ROW_SECONDS, load_encoder
from dubfew.speech.espeak import get_synthesizer
from dubfew.speech.training.examples import (
    HELD_OUT_LANGUAGES,
    HELD_OUT_VARIANTS,
    MAX_PASSAGE_ROWS,
    TRAINING_VARIANTS,
    WINDOW_ROWS,
    TrainingPassage,
    recording_from_clip,
    recording_from_utterance,
    sample_passage,
    silent_recording,
    training_languages,
)
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import MOUTH_LEAD_SECONDS, motion_from_phones
from tests.speech.clips import spoken_clip


def test_held_out_voices_and_languages_are_not_trained_on() -> None:
    assert not set(HELD_OUT_VARIANTS) & set(TRAINING_VARIANTS)
    assert not set(HELD_OUT_LANGUAGES) & set(training_languages())


@pytest.mark.slow
def test_passages_have_the_promised_shape() -> None:
    rng = np.random.default_rng(0)
    utterance = get_synthesizer().synthesize("Ja, ja.", "de")
    spoken = recording_from_utterance(utterance, load_viseme_basis())
    filmed = recording_from_clip(spoken_clip(), 0.0)
    for recordings in ([spoken, spoken], [silent_recording(rng)], [filmed], [spoken] * 9):
        for _ in range(4):
            passage = sample_passage(recordings, rng, len(MOUTH_POINTS), load_encoder("mel"))
            rows = len(passage)
            assert WINDOW_ROWS <= rows <= MAX_PASSAGE_ROWS
            assert passage.features.shape == (2 * rows, 80)
            assert passage.displacement.shape == (rows, len(MOUTH_POINTS), 3)
            assert np.isfinite(passage.features).all()
    assert rows == MAX_PASSAGE_ROWS


def test_windows_are_cut_in_step() -> None:
    rows = np.arange(200, dtype=np.float32)
    passage = TrainingPassage(np.repeat(rows, 2)[:, None], rows[:, None, None], rows)
    window = passage.cut_window(30)
    assert len(window) == WINDOW_ROWS
    np.testing.assert_array_equal(window.features[::2, 0], window.voice_activity)
    np.testing.assert_array_equal(window.displacement[:, 0, 0], rows[30 : 30 + WINDOW_ROWS])


def test_mouths_of_synthetic_speech_are_ahead_of_the_sound() -> None:
    utterance = get_synthesizer().synthesize("Mama.", "de")
    basis = load_viseme_basis()
    recording = recording_from_utterance(utterance, basis)
    times = np.arange(len(recording.displacement)) * ROW_SECONDS
    expected = motion_from_phones(utterance.phones, times + MOUTH_LEAD_SECONDS, basis)
    np.testing.assert_allclose(recording.displacement, expected.displacement)


def test_silent_passages_rest() -> None:
    rng = np.random.default_rng(0)
    passage = sample_passage([silent_recording(rng)], rng, len(MOUTH_POINTS), load_encoder("mel"))
    assert passage.voice_activity.max() == 0
    assert np.abs(passage.displacement).max() == 0


def test_filmed_clips_have_a_common_amplitude() -> None:
    clip = spoken_clip()
    louder = type(clip)(
        clip.name,
        clip.samples,
        type(clip.motion)(clip.motion.displacement * np.float32(1.3), clip.motion.times),
    )
    a, b = (recording_from_clip(each, 0.0).displacement for each in (clip, louder))
    np.testing.assert_allclose(a, b, atol=1e-5)
