from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.projection import HEAD_TO_CAMERA_AXES, rotvecs_to_matrices
from dubfew.reconstruction.track import FLAG_CUT_BY_EDGE, FLAG_NO_FACE, FLAG_TURNED_AWAY
from dubfew.reconstruction.tracking import track_video
from dubfew.reconstruction.visibility.pose_and_border import (
    compute_geometric_flags,
    estimate_turn_angle,
    measure_outside_fraction,
    remove_short_runs,
)
from dubfew.render.transitions import (
    MOTION_EASE_FRAMES,
    blend_mouth_motion,
    describe_skipped_frames,
    paint_opacity,
    transition_weights,
)
from dubfew.synthetic.clip import write_clip
from dubfew.synthetic.person import SyntheticPerson
from tests.data.people import toy_track


def turned(degrees: list[float], axis: int = 1) -> np.ndarray:
    """A mean face's landmarks, px, with the head turned so far. [N, 478, 3]"""
    head = load_head_model()
    rotation = np.zeros((len(degrees), 3))
    rotation[:, axis] = np.deg2rad(degrees)
    points = rotvecs_to_matrices(rotation) @ (head.landmark_matrix() @ head.template).T
    found = np.zeros((len(degrees), 478, 3), np.float32)
    found[:, head.landmark_ids] = points.transpose(0, 2, 1) * [900, -900, -900] + [60, 50, 7]
    return found


def test_angle_to_the_camera():
    for axis in (0, 1):
        np.testing.assert_allclose(
            np.rad2deg(estimate_turn_angle(turned([0, -30, 50, 85], axis))),
            [0, 30, 50, 85],
            atol=0.05,
        )
    np.testing.assert_allclose(
        estimate_turn_angle(turned([80], 2)), 0, atol=1e-3
    )  # roll is no turn
    noise = np.random.default_rng(0).normal(0, 1, (1, 478, 3))
    np.testing.assert_allclose(np.rad2deg(estimate_turn_angle(turned([40]) + noise)), 40, atol=2)


@pytest.mark.parametrize(
    ("person", "yaw", "flag"), [(4, 45, 0), (4, 72, FLAG_TURNED_AWAY), (11, 66, FLAG_TURNED_AWAY)]
)
def test_a_profile_is_flagged_as_the_detector_sees_it(tmp_path, person, yaw, flag):
    """Rendered people; what is said of the turn is what the picture shows."""
    path = tmp_path / "turned.mp4"
    truth = write_clip(
        SyntheticPerson(person), path, seconds=3 / 25, size=224, seed=1,
        head_turn=(0, np.deg2rad(yaw), 0),
    )  # fmt: skip
    ahead = -truth.translation / np.linalg.norm(truth.translation, axis=1, keepdims=True)
    faces_to = (HEAD_TO_CAMERA_AXES @ rotvecs_to_matrices(truth.rotation))[..., 2]
    shown = np.rad2deg(np.arccos((faces_to * ahead).sum(1)))
    assert (shown > 60).all() == bool(flag)
    track = track_video(path)
    assert track.valid.all()
    assert track.flags.tolist() == [flag] * 3


def test_share_outside():
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    disc = 5 + 5 * np.stack([np.cos(angle), np.sin(angle)], -1)[None]
    shares = [
        measure_outside_fraction(disc + np.array([dx, 50]), (100, 100))[0] for dx in (50, -5, -20)
    ]
    np.testing.assert_allclose(shares, [0, 0.5, 1], atol=0.06)


def test_flags_and_short_gaps():
    degrees = np.zeros(12)
    degrees[3:8] = 68
    degrees[5] = 0  # the detector's one good moment in a profile
    hull = np.array([[40, 40], [60, 40], [60, 60], [40, 60.0]]).repeat(12, 0)[None].repeat(12, 0)
    hull[10:] += [45, 0]
    flags = compute_geometric_flags(turned(degrees.tolist()), hull, (90, 100))
    assert flags.tolist() == [0] * 3 + [FLAG_TURNED_AWAY] * 5 + [0] * 2 + [FLAG_CUT_BY_EDGE] * 2
    assert remove_short_runs(np.array([False, True, False, False, False])).tolist() == [False] * 5


def test_into_and_out_of_frames_that_are_left():
    track = toy_track(30)
    flags = np.zeros(30, np.uint8)
    flags[10:14] = FLAG_TURNED_AWAY
    flags[25] = FLAG_NO_FACE
    valid = np.arange(30) != 25
    track = dataclasses.replace(track, flags=flags, valid=valid)
    weight = transition_weights(track)
    assert (weight[10:14] == 0).all()
    assert weight[25] == 0
    assert (np.diff(weight[13 : 14 + MOTION_EASE_FRAMES]) > 0).all()
    assert (weight[[3, 20, 24, 26]] == 1).all()  # a face that comes into sight fades nowhere
    assert (np.diff(paint_opacity(weight)[13:16]) > 0).all()
    other = dataclasses.replace(track, jaw=track.jaw + 1, expression=track.expression + 1)
    mixed = blend_mouth_motion(track, other, weight)
    np.testing.assert_array_equal(mixed.jaw[11], track.jaw[11])
    np.testing.assert_allclose(mixed.jaw[3], other.jaw[3], rtol=1e-5)
    assert (
        describe_skipped_frames(track)
        == "5 of 30 frames left as they are (no face 1, turned away 4)"
    )
    cut = dataclasses.replace(track, shot=(np.arange(30) >= 14).astype(np.int32))
    assert (transition_weights(cut)[14:25] == 1).all()


@pytest.mark.parametrize("frames", range(1, MOTION_EASE_FRAMES + 3))
def test_clips_shorter_than_a_transition(frames):
    assert transition_weights(toy_track(frames)).tolist() == [1.0] * frames
