from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import FaceParameters, LandmarkFitter
from dubfew.reconstruction.fitting.point_rig import PointRig
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.reconstruction.projection import project_posed_points
from dubfew.reconstruction.track import Camera

CAMERA = Camera(800.0, 256.0, 256.0)


def known_face(n: int = 12, seed: int = 0):
    """Make known parameters and the landmarks that they project to."""
    head = load_head_model()
    rng = np.random.default_rng(seed)
    shape = rng.standard_normal(len(head.shape_basis)) * 0.5
    t = np.linspace(0, 2 * np.pi, n)
    rotation = np.stack([0.1 * np.sin(t), 0.25 * np.cos(t), 0.05 * np.sin(2 * t)], 1)
    translation = np.stack([0.01 * np.cos(t), 0.02 * np.sin(t), 0.6 + 0.02 * np.sin(t)], 1)
    jaw = np.stack([0.1 + 0.1 * np.sin(3 * t), 0 * t, 0 * t], 1)
    expression = 0.5 * rng.standard_normal((n, len(head.expression_basis)))
    vertices = head.vertices(shape, expression, jaw)
    matrices = Rotation.from_rotvec(rotation).as_matrix()
    image = project_posed_points(vertices, matrices, translation, CAMERA)
    landmarks = np.zeros((n, 478, 3), np.float32)
    landmarks[:, :468, :2] = image[:, :468, :2]
    # The detector's depth: relative, in px, smaller is nearer.
    landmarks[:, :468, 2] = (image[:, :468, 2] - translation[:, None, 2]) * CAMERA.focal / 0.6
    return head, shape, FaceParameters(matrices, translation, jaw, expression), landmarks


@pytest.mark.slow
def test_known_parameters_are_recovered():
    head, _, pose, landmarks = known_face()
    fitter = LandmarkFitter(head, CAMERA)
    shape = fitter.fit_shape(landmarks)
    found = fitter.refine_parameters(landmarks, shape, fitter.estimate_initial_pose(landmarks))
    error = fitter.landmark_errors(landmarks, shape, found)
    # Px, on a face 190 px wide. The shape is unknown, and its prior pulls it to the mean.
    assert error.mean() < 0.35
    difference = Rotation.from_matrix(found.rotation) * Rotation.from_matrix(pose.rotation).inv()
    assert np.degrees(difference.magnitude()).mean() < 2.0


def test_lips_are_exact_with_the_true_shape():
    head, shape, _, landmarks = known_face(seed=3)
    fitter = LandmarkFitter(head, CAMERA)
    found = fitter.refine_parameters(
        landmarks, shape, fitter.estimate_initial_pose(landmarks), num_steps=6
    )
    assert fitter.landmark_errors(landmarks, shape, found)[:, [13, 14, 61, 291]].max() < 0.2


def test_jacobian_agrees_with_differences():
    head = load_head_model()
    rig = PointRig(head, head.point_matrix(MOUTH_POINTS))
    rng = np.random.default_rng(0)
    shape = rng.standard_normal(len(head.shape_basis)) * 0.3
    jaw, expression = np.zeros((1, 3)), 0.3 * rng.standard_normal((1, len(head.expression_basis)))
    by_point = np.broadcast_to(np.eye(3), (1, len(MOUTH_POINTS), 3, 3))
    jacobian = rig.jacobian(rig.pose_points(shape, jaw, expression), by_point)[0]
    step = 1e-5
    for k in range(3):
        moved = jaw.copy()
        moved[0, k] = step
        numeric = (
            rig.pose_points(shape, moved, expression).points
            - rig.pose_points(shape, jaw, expression).points
        )
        np.testing.assert_allclose(jacobian[:, :, k], numeric[0] / step, atol=1e-5)
    for k in (0, 11, 45):
        moved = expression.copy()
        moved[0, k] += step
        numeric = (
            rig.pose_points(shape, jaw, moved).points
            - rig.pose_points(shape, jaw, expression).points
        )
        np.testing.assert_allclose(jacobian[:, :, 3 + k], numeric[0] / step, atol=1e-6)


def test_rig_and_head_give_the_same_points():
    head, shape, pose, _ = known_face(3)
    rig = PointRig(head, head.point_matrix(MOUTH_POINTS))
    expected = head.point_matrix(MOUTH_POINTS) @ head.vertices(shape, pose.expression, pose.jaw)
    np.testing.assert_allclose(
        rig.pose_points(shape, pose.jaw, pose.expression).points, expected, atol=1e-5
    )
