"""Silence, articulation, leakage, closures and jitter, on mouths that are known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from dubfew.evaluate.face_geometry import LIP_POINTS, mouth_opening
from dubfew.evaluate.metrics import METRICS, ClipPair
from dubfew.evaluate.metrics.articulation import articulation
from dubfew.evaluate.metrics.closures import closures_hit
from dubfew.evaluate.metrics.jitter import lip_tremble
from dubfew.evaluate.metrics.leakage import scene_leakage
from dubfew.evaluate.metrics.open_closed import open_closed_ratio
from dubfew.evaluate.metrics.open_in_silence import open_in_silence
from dubfew.speech.visemes import Phone
from tests.evaluate.metrics.examples import pair_clips, run_metric, talking_head


def mouth_with(gaps: np.ndarray) -> np.ndarray:
    """Landmarks of a still face whose lips are this far apart, in eye-corner distances."""
    clip = np.repeat(talking_head(1), len(gaps), axis=0)
    clip[:, 14, :2] = clip[:, 13, :2]
    clip[:, 14, 1] += 100 * gaps  # the eye corners are 100 px apart
    return clip.astype(np.float32)


def pair(reference: np.ndarray, output: np.ndarray, **known: object) -> ClipPair:
    return dataclasses.replace(pair_clips(mouth_with(reference), mouth_with(output)), **known)


def test_the_gaps_are_as_given():
    np.testing.assert_allclose(mouth_opening(mouth_with(np.array([0.0, 0.1]))), [0, 0.1], atol=1e-6)


def test_open_in_silence_counts_silent_frames():
    gaps = np.array([0.0, 0.2, 0.2, 0.01, 0.3])
    silent = np.array([True, True, False, True, True])
    clips = pair(gaps, gaps, output_silent=silent)
    assert run_metric(METRICS["open_in_silence"], [], clips) == 50
    np.testing.assert_array_equal(open_in_silence(clips), [0, 100, np.nan, 0, 100])
    assert math.isnan(run_metric(METRICS["open_in_silence"], [], pair(gaps, gaps)))


def test_articulation_of_half_the_movement_in_another_order():
    rng = np.random.default_rng(0)
    gaps = rng.uniform(0, 0.2, 60)
    assert articulation(pair(gaps, rng.permutation(gaps) / 2)) == pytest.approx(0.5)
    # A wide mouth in silence does not count.
    quiet = np.arange(60) >= 50
    yawning = np.where(quiet, 0.9, gaps)
    clips = pair(gaps, yawning, reference_silent=quiet, output_silent=quiet)
    assert articulation(clips) == pytest.approx(1)
    assert math.isnan(articulation(pair(gaps[:5], gaps[:5])))


def test_leakage_of_the_scene_and_of_a_mixture():
    rng = np.random.default_rng(0)
    scene, dub = rng.uniform(0, 0.2, (2, 300))
    assert scene_leakage(pair(scene, dub)) < 0.15
    assert scene_leakage(pair(scene, scene)) > 0.95
    # Half of each: their correlation is 1 / sqrt(2).
    assert scene_leakage(pair(scene, (scene + dub) / 2)) == pytest.approx(0.71, abs=0.08)
    assert math.isnan(scene_leakage(pair(scene, scene, same_line=True)))
    assert math.isnan(scene_leakage(pair(scene[:60], scene[:60])))


def test_pauses_in_common_are_no_leakage():
    """Two lines that are spoken and silent in the same seconds."""
    rng = np.random.default_rng(1)
    speech = np.repeat([1.0, 0.0, 1.0, 0.0, 1.0], 75)
    scene, dub = rng.uniform(0.05, 0.2, (2, 375)) * speech
    assert np.corrcoef(scene, dub)[0, 1] > 0.6
    assert scene_leakage(pair(scene, dub)) < 0.3


def phones(*sounds: tuple[str, float, float]) -> tuple[Phone, ...]:
    return tuple(Phone(*sound) for sound in sounds)


def test_closures_and_vowels():
    """Frames last 0.04 s; p at 0.4 s is closed, b at 0.8 s is not, m at 1.2 s is."""
    gaps = np.full(60, 0.1)
    gaps[[10, 30]] = 0.0
    gaps[[15, 25, 35]] = 0.21
    sounds = phones(
        ("p", 0.4, 0.44), ("a", 0.6, 0.64), ("b", 0.8, 0.84),
        ("a", 1.0, 1.04), ("m", 1.2, 1.24), ("a", 1.4, 1.44), ("s", 1.6, 1.7),
    )  # fmt: skip
    clips = pair(gaps, gaps, phones=sounds)
    assert closures_hit(True, clips) == pytest.approx(200 / 3)
    # Narrowest of the closed sounds: 0, 0.1 and 0.
    assert open_closed_ratio(True, clips) == pytest.approx(0.21 / (0.1 / 3 + 0.01), rel=1e-4)
    assert math.isnan(closures_hit(True, pair(gaps, gaps, phones=sounds[1:2])))
    assert math.isnan(open_closed_ratio(True, pair(gaps, gaps, phones=sounds[:5])))


def test_sounds_beyond_the_picture_do_not_count():
    gaps = np.full(10, 0.1)
    clips = pair(gaps, gaps, phones=phones(("p", 5.0, 5.1)))
    assert math.isnan(closures_hit(True, clips))


def test_tremble_is_the_second_difference():
    still = np.repeat(talking_head(1), 5, axis=0)
    shaken = still.copy()
    shaken[1::2, LIP_POINTS, 0] += 1  # px, of 100 px between the eyes
    np.testing.assert_allclose(lip_tremble(shaken), [np.nan, 2, 2, 2, np.nan], rtol=1e-5)
    moving = still + np.arange(5)[:, None, None].astype(np.float32)
    np.testing.assert_allclose(lip_tremble(moving)[1:-1], 0, atol=1e-4)
    assert run_metric(METRICS["jitter"], [], pair_clips(still, shaken)) == pytest.approx(2)
    # Less tremble than the original has is no merit.
    assert run_metric(METRICS["jitter"], [], pair_clips(shaken, still)) == 0
