"""Eyes: patches on balls, lids that close, gaze that moves the iris."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.synthetic.eyes import (
    EYE_RINGS,
    EYEBALL_RADIUS_METERS,
    LID_INSET_METERS,
    NUM_PATCH_RINGS,
    build_eye_patches,
    close_eyelids,
    compute_iris_landmarks,
    fit_eyeballs,
    project_eye_patches,
)
from dubfew.synthetic.parts import EYE_TILE, NUM_FACE_VERTICES

UPPER, LOWER = (159, 386), (145, 374)  # middles of the lids, image left first


@pytest.fixture(scope="module")
def face():
    return load_head_model().template[:NUM_FACE_VERTICES].astype(np.float64)


@pytest.fixture(scope="module")
def eyeballs(face):
    return fit_eyeballs(face)


@pytest.fixture(scope="module")
def positions(face):
    """Where the lids alone put the patches' vertices. [2, K, 3]"""
    return np.stack([part.face_weights @ face for part in build_eye_patches()])


def test_eyeballs_are_symmetric_and_a_pupil_distance_apart(eyeballs):
    left, right = eyeballs.centers
    assert left[0] < 0 < right[0]
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=1e-3)
    assert 0.055 < right[0] - left[0] < 0.072  # people's pupils are 54 to 74 mm apart


def test_balls_sit_between_the_lids(face, eyeballs):
    for center, upper, lower in zip(eyeballs.centers, UPPER, LOWER, strict=True):
        assert face[lower, 1] < center[1] < face[upper, 1]
        front = center[2] + EYEBALL_RADIUS_METERS
        assert abs(front - face[[upper, lower], 2].mean()) < 0.003


def test_patches_hang_on_the_lids_and_end_in_one_point(positions, face):
    count = len(EYE_RINGS[0])
    for place, ring in zip(positions, EYE_RINGS, strict=True):
        assert len(place) == NUM_PATCH_RINGS * count
        np.testing.assert_allclose(place[:count], face[list(ring)], atol=1e-12)
        np.testing.assert_allclose(place[-count:], np.tile(face[list(ring)].mean(0), (count, 1)))


def test_lids_shade_the_ball_at_its_rim():
    for part in build_eye_patches():
        tint = part.tint.reshape(NUM_PATCH_RINGS, -1, 3).mean((1, 2))
        assert (np.diff(tint) >= 0).all()
        assert tint[-1] == pytest.approx(1)


def test_middles_of_patches_lie_on_the_balls(positions, eyeballs):
    shaped, _ = project_eye_patches(positions, eyeballs, np.zeros(2))
    count = len(EYE_RINGS[0])
    middle = shaped[:, -2 * count :].astype(float)
    radius = np.linalg.norm(middle - eyeballs.centers[:, None], axis=-1)
    np.testing.assert_allclose(radius, EYEBALL_RADIUS_METERS, atol=2e-4)
    # The rim stays behind the lids' edge.
    np.testing.assert_allclose(
        shaped[:, :count, 2], positions[:, :count, 2] - LID_INSET_METERS, atol=1e-6
    )


def test_gaze_slides_the_texture_against_itself(positions, eyeballs):
    left, top, width, height = EYE_TILE
    _, straight = project_eye_patches(positions, eyeballs, np.zeros(2))
    _, aside = project_eye_patches(positions, eyeballs, np.array([0.2, -0.1]))
    # The tile spans four ball radii.
    moved = (aside - straight).mean((0, 1))
    np.testing.assert_allclose(
        moved, [-np.sin(0.2) * width / 4, np.sin(-0.1) * height / 4], rtol=0.02
    )
    _, far = project_eye_patches(positions, eyeballs, np.array([3.0, 3.0]))
    for uv in (straight, aside, far):
        assert (uv >= [left + 1, top + 1]).all()
        assert (uv <= [left + width - 1, top + height - 1]).all()


def lid_gap(faces):
    return faces[:, list(UPPER), 1] - faces[:, list(LOWER), 1]


def test_lids_close_from_above_and_open_again(face):
    amount = np.array([0.0, 0.5, 1.0])
    closed = close_eyelids(np.repeat(face[None], 3, 0), amount)
    gap = lid_gap(closed)
    np.testing.assert_allclose(closed[0], face, atol=1e-7)
    np.testing.assert_allclose(gap[1], gap[0] / 2, atol=5e-4)
    # They touch and do not cross.
    assert (np.abs(gap[2]) < 2e-4).all()
    # The lower lid hardly moves, the mouth not at all.
    assert np.abs(closed[:, list(LOWER)] - face[list(LOWER)]).max() < 0.001
    np.testing.assert_allclose(closed[:, 13], np.tile(face[13], (3, 1)), atol=1e-7)


def test_a_half_closed_lid_stands_out_over_the_ball(face):
    half = close_eyelids(face[None], np.array([0.5]))[0]
    straight = (face[list(UPPER), 2] + face[list(LOWER), 2]) / 2
    assert (half[list(UPPER), 2] > straight + 0.0012).all()


def test_iris_landmarks_are_a_center_and_a_ring(eyeballs):
    points = compute_iris_landmarks(eyeballs, np.zeros(2), 0.006)
    assert points.shape == (10, 3)
    for eye, center in enumerate(eyeballs.centers):
        middle, *ring = points[5 * eye : 5 * eye + 5]
        np.testing.assert_allclose(middle, center + np.array([0, 0, EYEBALL_RADIUS_METERS]))
        np.testing.assert_allclose(np.linalg.norm(ring - middle, axis=1), 0.006)
        right, top, left, bottom = ring
        assert right[0] > middle[0] > left[0]
        assert top[1] > middle[1] > bottom[1]


def test_looking_right_and_up_moves_the_irises_there(eyeballs):
    straight = compute_iris_landmarks(eyeballs, np.zeros(2), 0.006)
    aside = compute_iris_landmarks(eyeballs, np.array([0.3, 0.2]), 0.006)
    expected = EYEBALL_RADIUS_METERS * np.sin([0.3, 0.2])
    np.testing.assert_allclose((aside - straight)[[0, 5], :2], np.tile(expected, (2, 1)))
    assert (aside[:, 2] < straight[:, 2]).all()
