from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.projection import HEAD_TO_CAMERA_AXES, rotvecs_to_matrices
from dubfew.reconstruction.track import FLAG_CUT_BY_EDGE, FLAG_TURNED_AWAY
from dubfew.reconstruction.tracking import track_video
from dubfew.reconstruction.visibility.pose_and_border import (
    compute_geometric_flags,
    estimate_turn_angle,
    measure_outside_fraction,
    remove_short_runs,
)
from dubfew.synthetic.clip import write_clip
from tests.people import synthetic_person


def turned_face(degrees: list[float], axis: int = 1) -> np.ndarray:
    """Make the landmarks of a mean face whose head is turned about one axis, px. [N, 478, 3]"""
    head = load_head_model()
    rotation = np.zeros((len(degrees), 3))
    rotation[:, axis] = np.deg2rad(degrees)
    points = rotvecs_to_matrices(rotation) @ (head.landmark_matrix() @ head.template).T
    landmarks = np.zeros((len(degrees), 478, 3), np.float32)
    landmarks[:, head.landmark_ids] = points.transpose(0, 2, 1) * [900, -900, -900] + [60, 50, 7]
    return landmarks


def test_estimated_angle_is_that_of_the_head():
    for axis in (0, 1):
        np.testing.assert_allclose(
            np.rad2deg(estimate_turn_angle(turned_face([0, -30, 50, 85], axis))),
            [0, 30, 50, 85],
            atol=0.05,
        )
    np.testing.assert_allclose(
        estimate_turn_angle(turned_face([80], 2)), 0, atol=1e-3
    )  # roll does not turn the face away
    noise = np.random.default_rng(0).normal(0, 1, (1, 478, 3))
    np.testing.assert_allclose(
        np.rad2deg(estimate_turn_angle(turned_face([40]) + noise)), 40, atol=2
    )


@pytest.mark.parametrize(
    ("person", "yaw", "flag"), [(4, 45, 0), (4, 72, FLAG_TURNED_AWAY), (11, 66, FLAG_TURNED_AWAY)]
)
@pytest.mark.slow
def test_profiles_of_rendered_people_are_flagged(tmp_path, person, yaw, flag):
    """The detector sees profiles less turned than they are; the threshold allows for that."""
    path = tmp_path / "turned.mp4"
    truth = write_clip(
        synthetic_person(person), path, seconds=3 / 25, size=224, seed=1,
        head_turn=(0, np.deg2rad(yaw), 0),
    )  # fmt: skip
    to_camera = -truth.translation / np.linalg.norm(truth.translation, axis=1, keepdims=True)
    face_direction = (HEAD_TO_CAMERA_AXES @ rotvecs_to_matrices(truth.rotation))[..., 2]
    angle = np.rad2deg(np.arccos((face_direction * to_camera).sum(1)))
    assert (angle > 60).all() == bool(flag)
    track = track_video(path)
    assert track.valid.all()
    assert track.flags.tolist() == [flag] * 3


def test_outside_fraction_of_a_disc():
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    disc = 5 + 5 * np.stack([np.cos(angle), np.sin(angle)], -1)[None]
    fractions = [
        measure_outside_fraction(disc + np.array([dx, 50]), (100, 100))[0] for dx in (50, -5, -20)
    ]
    np.testing.assert_allclose(fractions, [0, 0.5, 1], atol=0.06)


def test_flags_and_short_runs():
    degrees = np.zeros(12)
    degrees[3:8] = 68
    degrees[5] = 0  # a single frame in which the detector sees the face less turned
    hull = np.array([[40, 40], [60, 40], [60, 60], [40, 60.0]]).repeat(12, 0)[None].repeat(12, 0)
    hull[10:] += [45, 0]
    flags = compute_geometric_flags(turned_face(degrees.tolist()), hull, (90, 100))
    assert flags.tolist() == [0] * 3 + [FLAG_TURNED_AWAY] * 5 + [0] * 2 + [FLAG_CUT_BY_EDGE] * 2
    assert remove_short_runs(np.array([False, True, False, False, False])).tolist() == [False] * 5
