"""MouthMotion: meaning of its numbers, and interpolation."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.errors import ShapeError
from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MOUTH_CORNERS, MouthMotion, mouth_point_rows
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS

P = len(MOUTH_POINTS)


def test_shape_is_checked() -> None:
    with pytest.raises(ShapeError, match="expected"):
        MouthMotion(np.zeros((3, P - 1, 3), np.float32), np.zeros(3))


def test_aperture_is_the_gap_between_the_lips() -> None:
    displacement = np.zeros((1, P, 3), np.float32)
    upper, lower = np.array([mouth_point_rows(pair) for pair in INNER_LIP_PAIRS]).T
    displacement[0, upper, 1], displacement[0, lower, 1] = 0.03, -0.07
    assert MouthMotion(displacement, np.zeros(1)).aperture() == pytest.approx([0.1])


def test_a_scaled_opening_keeps_width_and_protrusion() -> None:
    motion = MouthMotion(np.random.default_rng(0).normal(size=(4, P, 3)).astype("f4"), np.arange(4))
    scaled = motion.scale_opening(0.7)
    np.testing.assert_allclose(scaled.aperture(), 0.7 * motion.aperture(), rtol=1e-5)
    np.testing.assert_array_equal(
        scaled.displacement[..., [0, 2]], motion.displacement[..., [0, 2]]
    )


def test_width_grows_when_the_corners_part() -> None:
    displacement = np.zeros((1, P, 3), np.float32)
    displacement[0, mouth_point_rows(MOUTH_CORNERS), 0] = -0.02, 0.03
    assert MouthMotion(displacement, np.zeros(1)).width_change() == pytest.approx([0.05])


def test_resampling_interpolates_and_is_constant_outside() -> None:
    displacement = np.zeros((2, P, 3), np.float32)
    displacement[1] = 1.0
    motion = MouthMotion(displacement, np.array([1.0, 2.0]))
    moved = motion.resample(np.array([0.0, 1.25, 9.0]))
    assert moved.displacement[:, 0, 0] == pytest.approx([0.0, 0.25, 1.0])
    np.testing.assert_array_equal(motion.resample(motion.times).displacement, displacement)


def test_resampling_needs_rows() -> None:
    with pytest.raises(ShapeError, match="no rows"):
        MouthMotion(np.zeros((0, P, 3), np.float32), np.zeros(0)).resample(np.zeros(1))
