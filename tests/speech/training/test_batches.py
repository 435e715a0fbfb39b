"""Passages on disk give the windows that passages in memory give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from dubfew.data.array_cache import ArrayCache
from dubfew.media.mel import estimate_channel
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import load_encoder
from dubfew.speech.espeak import get_synthesizer
from dubfew.speech.training.batches import PassageEncoder
from dubfew.speech.training.cached_encoder import CachedEncoder
from dubfew.speech.training.examples import (
    WINDOW_ROWS,
    EncodedPassage,
    label_passage,
    load_utterances,
    recording_from_clip,
    store_recording,
    store_utterances,
)
from dubfew.speech.training.speech_clip import store_clip
from tests.speech.clips import spoken_clip


def test_windows_from_disk_are_those_of_the_recording(tmp_path: Path) -> None:
    clip, cache = spoken_clip(), ArrayCache(tmp_path)
    encoder = PassageEncoder(load_encoder("mel"), 0, cache)
    passages = {}
    for lag in (0.0, 0.04):
        recording = store_recording(store_clip(clip, cache), lag, cache)
        (passage, _) = passages[lag] = encoder.encode_filmed([recording], versions=2)
        # In memory: the recording itself, at the rows of the passage.
        whole = EncodedPassage(passage.arrays.read("features"), passage.arrays.read("rows"))
        expected = label_passage(whole, [recording_from_clip(clip, lag)], len(MOUTH_POINTS))
        for start in (0, len(passage) - WINDOW_ROWS):
            window, truth = passage.cut_window(start), expected.cut_window(start)
            np.testing.assert_array_equal(window.features, truth.features)
            np.testing.assert_array_equal(window.displacement, truth.displacement)
            np.testing.assert_array_equal(window.voice_activity, truth.voice_activity)
            assert window.displacement.any()
    # Two versions differ; another lag has other targets, and nothing was encoded for it.
    for early, late in zip(passages[0.0], passages[0.04], strict=True):
        features = [each.arrays.read("features") for each in (early, late)]
        np.testing.assert_array_equal(*features)
        targets = [each.cut_window(0).displacement for each in (early, late)]
        assert not np.array_equal(*targets)
    first, second = (each.arrays.read("features") for each in passages[0.0])
    assert first.shape != second.shape or not np.array_equal(first, second)
    assert cache.num_computed == 5  # the clip, two recordings, two versions


def test_features_of_a_recording_are_read_from_disk(tmp_path: Path) -> None:
    samples = spoken_clip().samples
    channel, encoder = estimate_channel(samples), load_encoder("mel")
    direct = encoder.encode(samples, channel)
    for computed in (1, 0):
        cache = ArrayCache(tmp_path)
        stored = CachedEncoder(encoder, cache).encode(samples, channel)
        # Within what is stored, and far beyond it.
        for start, stop in ((-100, 90), (20, 30), (-900, -800)):
            expected = direct.frames(start, stop)
            np.testing.assert_allclose(stored.frames(start, stop), expected, atol=1e-6)
        assert cache.num_computed == computed


def test_utterances_are_stored_whole(tmp_path: Path) -> None:
    said = [get_synthesizer().synthesize(text, "it") for text in ("Mamma mia.", "La pappa.")]
    cache = ArrayCache(tmp_path)
    found = load_utterances(cache.fetch({}, lambda: store_utterances(said)))
    assert [each.phones for each in found] == [each.phones for each in said]
    assert [each.language for each in found] == ["it", "it"]
    for a, b in zip(found, said, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)
