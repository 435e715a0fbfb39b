from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.selection import (
    POSE_DISTANCE_WEIGHT,
    choose_references,
    farthest_point_sampling,
    find_candidate_rows,
    find_nearest_references,
    select_nearest,
    spread_rows,
)
from dubfew.references.track_geometry import POSE_WEIGHT, compute_frame_keys
from tests.data.people import toy_track


def test_the_nearest_references_come_first_and_repeat_when_few():
    keys = np.array([[0.0], [5.0], [1.0]])
    rows, distances = find_nearest_references(np.array([0.9]), keys, 2)
    assert rows.tolist() == [2, 0]
    np.testing.assert_allclose(distances, [0.1, 0.9], atol=1e-6)
    rows, _ = find_nearest_references(np.array([0.9]), keys[:1], 3)
    assert rows.tolist() == [0, 0, 0]


@pytest.mark.parametrize("count", [1, 3, 6])
def test_many_frames_are_selected_for_as_one_at_a_time(count):
    distances = np.random.default_rng(0).random((5, 4))
    distances[2] = 0.5  # equal distances keep their order
    rows, found = select_nearest(distances, count)
    for frame in range(5):
        one_row, one_distance = select_nearest(distances[frame], count)
        np.testing.assert_array_equal(rows[frame], one_row)
        np.testing.assert_array_equal(found[frame], one_distance)
    assert rows.shape == (5, count)
    assert found.dtype == np.float32


def test_candidates_keep_their_distance_in_time():
    frames = np.array([0, 4, 9, 10, 30])
    assert find_candidate_rows(frames, 0, 10).tolist() == [3, 4]
    assert find_candidate_rows(frames, 0, 10, np.array([4, 1, 0])).tolist() == [4]
    # Too little footage for the gap: better a near reference than none.
    assert find_candidate_rows(frames, 0, 31).tolist() == [0, 1, 2, 3, 4]
    assert find_candidate_rows(frames, 1, 10, np.array([0, 1])).tolist() == [0, 1]


def test_a_track_gets_its_nearest_references_first():
    head, track = load_head_model(), toy_track(70)  # more than one block
    keys = compute_frame_keys(track, head)
    bank = np.random.default_rng(0).permutation(70)[:20]
    rows, distances = choose_references(track, head, keys[bank], 3, mouth_in_scene=False)
    assert rows.shape == distances.shape == (70, 3)
    assert np.all(np.diff(distances, axis=1) >= 0)
    assert np.all(distances >= 0)
    true = np.linalg.norm(keys[:, None] - keys[bank][None], axis=2)
    # Smoothed over a few frames: near the best, not always the best.
    chosen = np.take_along_axis(true, rows, 1)
    assert np.mean(chosen[:, 0] - true.min(1)) < 0.25 * np.mean(true.mean(1) - true.min(1))


@pytest.mark.parametrize("mouth_in_scene", [False, True])
def test_value_distances_are_smoothed_and_weighted_euclidean(mouth_in_scene):
    head, track = load_head_model(), toy_track(30)
    keys = compute_frame_keys(track, head).astype(np.float64)
    weight = np.ones(keys.shape[1])
    weight[-3:] = 1 if mouth_in_scene else POSE_DISTANCE_WEIGHT
    plain = np.linalg.norm((keys[:, None] - keys[None, 5:9]) * weight, axis=2)
    plain = np.sort(gaussian_filter1d(plain, 1.0, axis=0, mode="nearest"), axis=1)
    _, distances = choose_references(
        track, head, keys[5:9].astype(np.float32), 4, mouth_in_scene=mouth_in_scene
    )
    np.testing.assert_allclose(distances, plain, atol=2e-3)


def test_a_steady_mouth_keeps_its_references():
    head, track = load_head_model(), toy_track(24)
    still = track.select([7] * 30)
    keys = compute_frame_keys(track, head)
    rows, distances = choose_references(still, head, keys, 3, mouth_in_scene=False)
    assert np.all(rows == rows[0])
    assert rows[0, 0] == 7
    assert distances[:, 0].max() < 1e-3


def test_the_mouth_counts_for_more_than_ten_degrees_of_pose():
    head, track = load_head_model(), toy_track(5).select([2] * 5)
    turned, other = compute_frame_keys(track, head)[:2]
    turned[-2] += np.deg2rad(10) * POSE_WEIGHT
    other[:-3] += 0.02 / np.sqrt(len(other) - 3)
    keys = np.stack([other, turned])
    rows, _ = choose_references(track, head, keys, 2, mouth_in_scene=False)
    assert (rows[:, 0] == 1).all()
    # The scene's own mouths were seen with its own pose.
    rows, _ = choose_references(track, head, keys, 2, mouth_in_scene=True)
    assert (rows[:, 0] == 0).all()


def test_few_references_are_repeated():
    head, track = load_head_model(), toy_track(5)
    keys = compute_frame_keys(track, head)
    rows, distances = choose_references(track, head, keys[:1], 3, mouth_in_scene=False)
    assert rows.tolist() == [[0, 0, 0]] * 5
    np.testing.assert_array_equal(distances[:, 0], distances[:, 2])
    rows, _ = choose_references(track, head, keys[:2], 3, mouth_in_scene=False)
    assert {tuple(sorted(set(row))) for row in rows.tolist()} == {(0, 1)}


def test_sampled_rows_span_the_keys():
    keys = np.array([[0.0], [0.1], [10.0], [4.9], [-10.0], [5.0]])
    rows = farthest_point_sampling(keys, 3).tolist()
    assert {2, 4} < set(rows)
    assert farthest_point_sampling(keys, 9).tolist() == [0, 1, 2, 3, 4, 5]


def test_spread_rows_includes_both_ends_and_repeats_no_row():
    np.testing.assert_array_equal(spread_rows(3, 5, 10), [3, 4, 5])
    np.testing.assert_array_equal(spread_rows(0, 100, 3), [0, 50, 100])
