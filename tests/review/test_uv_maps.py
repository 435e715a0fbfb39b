"""UV maps: the head's own texture coordinates at the pixels of a face."""

from __future__ import annotations

import numpy as np

from dubfew.reconstruction.detection.clip_detections import ClipDetections
from dubfew.reconstruction.detection.people import DetectedPerson
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.review.uv_maps import SMOOTHED_FRAMES, find_same_person, make_uv_map, smooth_seen_frames

SIZE = 400
# Landmarks in the middle of the face, which look at the camera: nose, forehead, chin, cheeks.
FRONT = (4, 9, 151, 199, 205, 425, 50, 280)


def project_head(turn: float = 0.0) -> np.ndarray:
    """Project the mean head, turned to its left, as MediaPipe has it: z away from the camera."""
    head = load_head_model()
    points = np.zeros((478, 3))
    points[head.landmark_ids] = head.landmark_matrix() @ head.template
    x, z = points[:, 0], points[:, 2]
    points[:, 0], points[:, 2] = np.cos(turn) * x + np.sin(turn) * z, np.cos(turn) * z
    points[:, 2] -= np.sin(turn) * x
    return (points * [1, -1, -1] + [0.12, 0.08, 0]) * SIZE / 0.24


def test_each_landmark_has_its_texture_coordinates():
    head, points = load_head_model(), project_head()
    found = make_uv_map(points, SIZE, SIZE)
    uv = head.landmark_matrix() @ head.uv
    rows = {int(name): row for row, name in enumerate(head.landmark_ids)}
    for name in FRONT:
        x, y = points[name, :2].astype(int)
        u, v = uv[rows[name]]
        np.testing.assert_allclose(found[y, x], [u, 1 - v, 1], atol=0.01)
    # The forehead lies above the chin, and v counts from below.
    assert found[int(points[9, 1]), int(points[9, 0]), 1] > 0.6
    assert not found[:4].any()
    # Between open lips there is no skin.
    is_lower = points[:, 1] > points[14, 1] + 1
    is_lower[[14, 87, 178, 88, 95, 317, 402, 318, 324]] = True
    opened = points + 20 * is_lower[:, None] * [0, 1, 0]
    x, y = (opened[13, :2] + opened[14, :2]) / 2
    assert not make_uv_map(opened, SIZE, SIZE)[int(y), int(x)].any()


def test_what_looks_away_is_left_out():
    found = make_uv_map(project_head(turn=1.2), SIZE, SIZE)
    seen = found[found[..., 2] > 0]
    whole = make_uv_map(project_head(), SIZE, SIZE)
    assert np.ptp(seen[:, 0]) < 0.85 * np.ptp(whole[whole[..., 2] > 0][:, 0])


def _person(number: int, frames: np.ndarray, points: np.ndarray) -> DetectedPerson:
    nothing = np.zeros((len(frames), 48, 32, 3), np.uint8)
    return DetectedPerson(number, frames, points.astype(np.float32), nothing, 40.0, ())


def test_parabolas_stay_and_cuts_are_not_smoothed_over():
    frames = np.delete(np.arange(24), 7)
    person = _person(0, frames, np.zeros((len(frames), 478, 3)))
    shots = (np.arange(24) > 15).astype(np.int32)
    # A jump at the gap and at the cut.
    motion = 0.3 * frames**2 + 40.0 * (frames > 7) + 90.0 * (frames > 15)
    np.testing.assert_allclose(smooth_seen_frames(motion, person, shots), motion, atol=1e-9)
    noise = np.random.default_rng(0).normal(size=len(frames))
    assert smooth_seen_frames(noise, person, shots).std() < 0.9 * noise.std()
    few = _person(0, frames[: SMOOTHED_FRAMES - 1], np.zeros((4, 478, 3)))
    np.testing.assert_array_equal(smooth_seen_frames(noise[:4], few, shots), noise[:4])


def test_a_person_is_found_by_place_in_the_same_frames():
    points = np.random.default_rng(0).uniform(0, 40, (6, 478, 3))
    person = _person(0, np.arange(6), points)
    others = [
        _person(0, np.arange(6), points + 60),
        _person(1, np.arange(2, 6), points[2:] + 1),
        _person(2, np.arange(6, 9), points[:3]),
    ]
    found = ClipDetections(np.arange(9) / 25, (100, 100), np.zeros(9, np.int32), others)
    assert find_same_person(person, found, (1, 2, 3)) is others[1]
    nobody = ClipDetections(np.arange(9) / 25, (100, 100), np.zeros(9, np.int32), others[::2])
    assert find_same_person(person, nobody, (1, 2, 3)) is None
