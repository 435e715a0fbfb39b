"""Where paint goes, and which references it is taken from."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dubfew.media import Frame
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.footage import POSE_WEIGHT, compute_frame_keys
from dubfew.render.compositing import _keep_whole_chroma_cells
from dubfew.render.streaming import choose_references
from tests.data.people import toy_track

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(masks, st.integers(0, 1), st.integers(0, 1))
def test_only_whole_cells_and_all_of_them(mask, odd_x, odd_y):
    whole = _keep_whole_chroma_cells(mask, odd_x, odd_y)
    assert whole.shape == mask.shape
    assert not np.any(whole & ~mask)
    height, width = mask.shape
    for y in range(-odd_y, height, 2):
        for x in range(-odd_x, width, 2):
            inside = min(x, y) >= 0 and y + 1 < height and x + 1 < width
            cell = mask[y : y + 2, x : x + 2] if inside else np.zeros((1, 1), bool)
            kept = whole[max(y, 0) : y + 2, max(x, 0) : x + 2]
            assert kept.all() == kept.any() == bool(cell.all())


@pytest.mark.parametrize("origin", [(0, 0), (1, 0), (0, 1), (5, 7)])
def test_no_sample_outside_the_mask_changes(origin):
    """Chroma is shared by four pixels: none of them may be one that is not to change."""
    rng = np.random.default_rng(0)
    frame = Frame.from_rgb(rng.integers(0, 255, (32, 40, 3), dtype=np.uint8))
    x0, y0 = origin
    mask = rng.random((20, 22)) < 0.8
    inside = _keep_whole_chroma_cells(mask, x0 % 2, y0 % 2)
    assert inside.any()
    assert not inside.all()
    painted = frame.with_patch(x0, y0, np.full((20, 22, 3), 255, np.uint8), inside)
    full = np.zeros((32, 40), bool)
    full[y0 : y0 + 20, x0 : x0 + 22] = mask
    np.testing.assert_array_equal(painted.to_rgb()[~full], frame.to_rgb()[~full])
    assert (painted.to_rgb()[full] != frame.to_rgb()[full]).any()


def painter(key: np.ndarray, count: int, *, own: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        aligns=own,
        references=SimpleNamespace(key=key),
        renderer=SimpleNamespace(config=SimpleNamespace(references=count)),
    )


def test_the_nearest_references_come_first():
    head, track = load_head_model(), toy_track(70)  # more than one block
    key = compute_frame_keys(track, head)
    bank = np.random.default_rng(0).permutation(70)[:20]
    rows, scores = choose_references(track, head, painter(key[bank], 3))
    assert rows.shape == scores.shape == (70, 3)
    assert np.all(np.diff(scores, axis=1) >= 0)
    assert np.all(scores >= 0)
    true = np.linalg.norm(key[:, None] - key[bank][None], axis=2)
    # Smoothed over a second or two of frames: near the best, not always the best.
    chosen = np.take_along_axis(true, rows, 1)
    assert np.mean(chosen[:, 0] - true.min(1)) < 0.25 * np.mean(true.mean(1) - true.min(1))


def test_a_steady_mouth_keeps_its_references():
    head, track = load_head_model(), toy_track(24)
    still = track.select([7] * 30)
    rows, scores = choose_references(still, head, painter(compute_frame_keys(track, head), 3))
    assert np.all(rows == rows[0])
    assert rows[0, 0] == 7
    assert scores[:, 0].max() < 1e-3


def test_the_mouth_counts_for_more_than_ten_degrees_of_pose():
    head, track = load_head_model(), toy_track(5).select([2] * 5)
    turned, other = compute_frame_keys(track, head)[:2]
    turned[-2] += np.deg2rad(10) * POSE_WEIGHT
    other[:-3] += 0.02 / np.sqrt(len(other) - 3)
    rows, _ = choose_references(track, head, painter(np.stack([other, turned]), 2))
    assert (rows[:, 0] == 1).all()
    rows, _ = choose_references(track, head, painter(np.stack([other, turned]), 2, own=True))
    assert (rows[:, 0] == 0).all()  # the scene's own mouths were seen with its own pose


def test_few_references_are_repeated():
    head, track = load_head_model(), toy_track(5)
    key = compute_frame_keys(track, head)
    rows, scores = choose_references(track, head, painter(key[:1], 3))
    assert rows.tolist() == [[0, 0, 0]] * 5
    np.testing.assert_array_equal(scores[:, 0], scores[:, 2])
    rows, _ = choose_references(track, head, painter(key[:2], 3))
    assert {tuple(sorted(set(row))) for row in rows.tolist()} == {(0, 1)}
