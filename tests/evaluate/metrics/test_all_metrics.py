"""Rules that every metric of the table follows."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from dubfew.errors import DubfewError, ShapeError
from dubfew.evaluate.compare import start_measurements
from dubfew.evaluate.face_geometry import LIP_POINTS
from dubfew.evaluate.metrics import METRICS, FramePair, Metric
from tests.evaluate.metrics.examples import (
    FACE_BOX,
    MOUTH_BOX,
    NUM_FRAMES,
    noise_frames,
    pair_clips,
    pair_frames,
    run_metric,
    talking_head,
)

# Metrics that need nothing but the two clips. The others have tests of their own.
WITHOUT_REQUIREMENT = [name for name in METRICS.names if METRICS[name].requirement is None]
# Those of them that are best where nothing was changed. The others have tests of their own, too.
BEST_UNCHANGED = [name for name in WITHOUT_REQUIREMENT if METRICS[name].best_if_unchanged]


@pytest.mark.parametrize("name", METRICS.names)
def test_a_metric_describes_itself(name: str) -> None:
    metric = METRICS[name]
    assert isinstance(metric, Metric)
    assert metric.direction in ("higher", "lower", "closer")
    assert metric.bounds[0] <= metric.best <= metric.bounds[1]
    if metric.direction != "closer":
        assert metric.best == metric.bounds[metric.direction == "higher"]
    assert metric.source
    if metric.requirement is not None:
        assert metric.requirement.description
        assert metric.requirement.name.isidentifier()


@pytest.mark.parametrize("name", BEST_UNCHANGED)
def test_identical_clips_have_the_best_value(name: str) -> None:
    frames, landmarks = noise_frames(3), talking_head()
    value = run_metric(METRICS[name], pair_frames(frames, frames), pair_clips(landmarks, landmarks))
    assert value == pytest.approx(METRICS[name].best)


@pytest.mark.parametrize("name", BEST_UNCHANGED)
def test_another_clip_is_worse_and_in_range(name: str) -> None:
    metric = METRICS[name]
    rng = np.random.default_rng(1)
    # Two degrees of noise on the pictures, and on where and when the lips move.
    values = []
    for strength in (0.0, 0.2, 1.0):
        frames = noise_frames(3)
        other = [
            np.clip(f + rng.normal(0, 60 * strength, f.shape), 0, 255).astype(np.uint8)
            for f in frames
        ]
        landmarks = talking_head()
        moved = np.roll(landmarks, round(2 * strength), axis=0)
        moved[:, LIP_POINTS, 1] += rng.normal(0, 30 * strength, (NUM_FRAMES, len(LIP_POINTS)))
        values.append(run_metric(metric, pair_frames(frames, other), pair_clips(landmarks, moved)))
    same, near, far = values
    assert all(metric.bounds[0] <= value <= metric.bounds[1] for value in values)
    if metric.direction == "higher":
        assert same > near > far
    elif metric.direction == "lower":
        assert same < near < far
    else:
        assert abs(same - metric.best) <= abs(near - metric.best) <= abs(far - metric.best)


@pytest.mark.parametrize("name", WITHOUT_REQUIREMENT)
def test_nothing_to_compare_is_nan(name: str) -> None:
    """Without a face there is no value, unless the metric looks at whole frames."""
    frames = [FramePair(f, f, None, MOUTH_BOX) for f in noise_frames(3)]
    landmarks = talking_head(3)
    value = run_metric(
        METRICS[name], frames, pair_clips(landmarks, np.full_like(landmarks, np.nan))
    )
    assert math.isnan(value) or (name == "outside_max" and value == 0)


def test_frames_and_clips_of_different_shapes_are_refused() -> None:
    (frame,), landmarks = noise_frames(1), talking_head(4)
    with pytest.raises(ShapeError, match=r"48, 64.*48, 63"):
        FramePair(frame, frame[:, 1:], FACE_BOX, MOUTH_BOX)
    with pytest.raises(ShapeError, match="float32"):
        FramePair(frame, frame.astype(np.float32), FACE_BOX, MOUTH_BOX)
    with pytest.raises(ShapeError, match="mask"):
        FramePair(frame, frame, FACE_BOX, MOUTH_BOX, np.ones((3, 3), bool))
    with pytest.raises(ShapeError, match=r"4 frames.* 3:"):
        pair_clips(landmarks, landmarks[:3])
    with pytest.raises(ShapeError, match=r"\[4, 478, 2\]"):
        pair_clips(landmarks[..., :2], landmarks)


def test_requirements_that_are_not_met_are_named() -> None:
    measurements, unavailable = start_measurements({})
    # One that needs packages alone is measured where they are installed.
    assert set(WITHOUT_REQUIREMENT) <= set(measurements) <= {*WITHOUT_REQUIREMENT, "identity"}
    assert set(measurements) | set(unavailable) == set(METRICS.names)
    assert "syncnet_v2.model" in unavailable["lse_c"]


def test_an_unknown_metric() -> None:
    with pytest.raises(DubfewError, match="bogus.*" + ", ".join(METRICS.names)):
        METRICS.load("bogus")


@pytest.mark.slow
def test_names_come_without_heavy_packages() -> None:
    program = """
import sys
from dubfew.evaluate.metrics import METRICS
assert "psnr" in METRICS.names
assert not {"torch", "mediapipe", "scipy", "skimage", "av"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
