"""Extraction of motion from landmarks, against a head whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dubfew.errors import NoFaceError, ShapeError
from dubfew.motion.extraction import MAX_CLOSED_LIP_GAP, estimate_rest_points, motion_from_landmarks
from dubfew.motion.mouth_motion import mouth_point_rows
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS


def _landmarks(jaw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A lite head that opens its jaw, at random poses, sizes and places, as a detector sees it."""
    head = load_head_model()
    n = len(jaw)
    rotation = np.zeros((n, 3), np.float32)
    rotation[:, 0] = jaw
    vertices = head.vertices(
        np.zeros(len(head.shape_basis)), np.zeros((n, len(head.expression_basis))), rotation
    )
    points = np.zeros((n, 478, 3))
    points[:, :468] = vertices[:, :468]
    pose = Rotation.from_rotvec(rng.uniform(-0.4, 0.4, (n, 3))).as_matrix()
    points = np.einsum("nab,npb->npa", pose, points)
    scale = rng.uniform(800, 3000, (n, 1, 1))
    shift = rng.uniform(-300, 300, (n, 1, 3))
    return (points * scale) * np.array([1, -1, -1]) + shift


def _true_motion(jaw: np.ndarray) -> np.ndarray:
    head = load_head_model()
    rotation = np.zeros((len(jaw), 3), np.float32)
    rotation[:, 0] = jaw
    none = np.zeros((len(jaw), len(head.expression_basis)))
    shape = np.zeros(len(head.shape_basis))
    points = head.point_matrix(MOUTH_POINTS) @ head.vertices(shape, none, rotation)
    return (points - points[:1]) / head.inter_ocular_distance(shape)


def test_head_pose_size_and_place_do_not_leak_into_the_mouth() -> None:
    jaw = np.concatenate([np.zeros(12), np.linspace(0, 0.3, 12)])
    landmarks = _landmarks(jaw, np.random.default_rng(0))
    motion = motion_from_landmarks(landmarks, np.arange(24) / 25)
    np.testing.assert_allclose(motion.displacement, _true_motion(jaw), atol=2e-3)


def test_an_opening_jaw_opens_the_mouth_downwards() -> None:
    jaw = np.concatenate([np.zeros(12), np.full(4, 0.3)])
    motion = motion_from_landmarks(_landmarks(jaw, np.random.default_rng(1)), np.arange(16) / 25)
    assert motion.aperture()[:12].max() < MAX_CLOSED_LIP_GAP
    assert motion.aperture()[12:].min() > 0.1
    assert motion.displacement[12:, mouth_point_rows((152,))[0], 1].max() < -0.05


def test_frames_without_a_face_are_bridged() -> None:
    landmarks = _landmarks(np.linspace(0, 0.2, 10), np.random.default_rng(2))
    landmarks[[0, 4]] = np.nan
    motion = motion_from_landmarks(landmarks, np.arange(10) / 25)
    assert np.isfinite(motion.displacement).all()
    between = (motion.displacement[3] + motion.displacement[5]) / 2
    np.testing.assert_allclose(motion.displacement[4], between, atol=1e-6)


def test_a_mouth_that_never_closes_gets_a_closed_rest() -> None:
    landmarks = _landmarks(np.full(8, 0.25), np.random.default_rng(3))
    motion = motion_from_landmarks(landmarks, np.arange(8) / 25)
    assert motion.aperture().min() > 0.1


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(ShapeError, match="478"):
        motion_from_landmarks(np.zeros((2, 468, 3)), np.zeros(2))
    with pytest.raises(ShapeError, match="times"):
        motion_from_landmarks(np.zeros((2, 478, 3)), np.zeros(3))
    with pytest.raises(NoFaceError):
        motion_from_landmarks(np.full((2, 478, 3), np.nan), np.zeros(2))
    with pytest.raises(NoFaceError):
        estimate_rest_points(np.full((2, len(MOUTH_POINTS), 3), np.nan, np.float32))
