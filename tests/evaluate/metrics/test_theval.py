"""THEval's measures of the mouth, on mouths and sounds that are known."""

from __future__ import annotations

import dataclasses
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from dubfew.evaluate.face_geometry import LIP_POINTS
from dubfew.evaluate.metrics import METRICS
from dubfew.evaluate.metrics import _theval as theval
from tests.evaluate.metrics.examples import pair_clips, run_metric, talking_head

FPS = 25


def clip(
    landmarks: np.ndarray, silent: np.ndarray | None = None, path: str = "x"
) -> theval.MeasuredClip:
    times = np.arange(len(landmarks)) / FPS
    return theval.MeasuredClip(Path(path), landmarks, times, silent)


def mouth_with(gaps: np.ndarray) -> np.ndarray:
    """Landmarks of a still face whose lips are this far apart, in eye-corner distances."""
    landmarks = np.repeat(talking_head(1), len(gaps), axis=0)
    landmarks[:, [33, 133, 362, 263], :2] = [(50, 60), (70, 60), (130, 60), (150, 60)]
    landmarks[:, theval.UPPER_LIP, 1] = 150
    landmarks[:, theval.LOWER_LIP, 1] = 150 + 100 * gaps[:, None]  # the corners are 100 px apart
    return landmarks.astype(np.float32)


def test_closeness_is_equation_12() -> None:
    assert theval.score_closeness(2.0, 2.0) == 1
    assert theval.score_closeness(2.0, 3.0) == theval.score_closeness(2.0, 1.0) == 0.5
    assert theval.score_closeness(2.0, 6.0) == -1
    assert math.isnan(theval.score_closeness(0.0, 1.0))
    assert math.isnan(theval.score_closeness(1.0, math.nan))


def test_dynamics_of_a_long_clip_are_the_plain_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of frames have the variance of all frames, and size and place of the face none."""
    monkeypatch.setattr(theval, "BLOCK_FRAMES", 7)
    landmarks = talking_head(40)
    vectors = [
        [np.linalg.norm(frame[i, :2] - frame[j, :2]) for i, j in combinations(LIP_POINTS, 2)]
        / np.linalg.norm(frame[33, :2] - frame[263, :2])
        for frame in landmarks.astype(np.float64)
    ]
    expected = np.var(vectors, axis=0).mean()
    assert theval.measure_lip_dynamics(clip(landmarks)) == pytest.approx(expected, rel=1e-6)
    assert theval.measure_lip_dynamics(clip(landmarks * 2 + 5)) == pytest.approx(expected, rel=1e-4)
    landmarks[3] = np.nan
    kept = np.var(np.delete(vectors, 3, axis=0), axis=0).mean()
    assert theval.measure_lip_dynamics(clip(landmarks)) == pytest.approx(kept, rel=1e-6)
    assert math.isnan(theval.measure_lip_dynamics(clip(landmarks[:1])))


def test_half_the_movement_has_a_quarter_of_the_variance() -> None:
    landmarks = talking_head()
    still = landmarks.mean(0, keepdims=True) + (landmarks - landmarks.mean(0)) * [0, 0, 1]
    still[..., 0] += landmarks[..., 0] - landmarks[..., 0].mean(0)
    half = ((still + landmarks) / 2).astype(np.float32)
    whole, smaller = (theval.measure_lip_dynamics(clip(each)) for each in (landmarks, half))
    assert smaller < whole / 2
    value = run_metric(METRICS["theval_lip_dynamics"], [], pair_clips(landmarks, half))
    assert value == pytest.approx(smaller / whole)


def test_lips_in_silence() -> None:
    gaps = np.array([0.0, 0.1, 0.0, 0.1, 0.9, 0.9])
    silent = np.array([True, True, True, True, False, False])
    assert theval.measure_silent_deviation(clip(mouth_with(gaps), silent)) == pytest.approx(
        0.05, abs=1e-6
    )
    assert math.isnan(theval.measure_silent_deviation(clip(mouth_with(gaps))))
    assert math.isnan(theval.measure_silent_deviation(clip(mouth_with(gaps), np.arange(6) == 0)))
    clips = dataclasses.replace(
        pair_clips(mouth_with(gaps), mouth_with(gaps * 1.5)),
        reference_silent=silent,
        output_silent=silent,
    )
    assert run_metric(METRICS["theval_silent_lips"], [], clips) == pytest.approx(0.5, abs=1e-4)


def test_openings_that_follow_the_loudness(tmp_path: Path) -> None:
    """A mouth as wide as the sound is loud is at 0, one that does the opposite far from it."""
    rate, frames = 16_000, 50
    envelope = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames * rate // FPS) / rate)
    tone = np.sin(2 * np.pi * 400 * np.arange(len(envelope)) / rate)
    wavfile.write(tmp_path / "a.wav", rate, (0.5 * envelope * tone).astype(np.float32))
    loudness = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / FPS)
    silent = np.zeros(frames, np.bool_)
    path = str(tmp_path / "a.wav")
    follows = theval.measure_loudness_distance(clip(mouth_with(0.2 * loudness), silent, path))
    against = theval.measure_loudness_distance(clip(mouth_with(0.2 - 0.2 * loudness), silent, path))
    assert follows < 0.03
    # The mean of |cos| over its period is 2 / pi.
    assert against == pytest.approx(2 / math.pi, abs=0.03)
    quiet = np.arange(frames) >= 4
    assert math.isnan(theval.measure_loudness_distance(clip(mouth_with(loudness), quiet, path)))
    assert math.isnan(
        theval.measure_loudness_distance(clip(mouth_with(loudness), silent, "nothing.wav"))
    )
