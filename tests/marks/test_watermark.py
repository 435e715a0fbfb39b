"""The watermark: patterns, invisibility, and reading without the original."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dubfew.marks.pattern import (
    NUM_PATTERNS,
    ROUND_SLOTS,
    SLOT_SECONDS,
    WINDOW_SAMPLES,
    bit_schedule,
    cell_patterns,
    downsampling_weights,
    project_patterns,
    render_patterns,
    slots_from_times,
    upsampling_weights,
)
from dubfew.marks.payload import decode_payload
from dubfew.marks.watermark import (
    LARGE_WINDOW_STEP_LEVELS,
    SMALL_WINDOW_STEP_LEVELS,
    WatermarkEmbedder,
    accumulate_directions,
    compute_bit_certainties,
)
from dubfew.media import Frame
from dubfew.media.pixels import rgb_to_yuv_matrix

ID = "00c0ffee11"


def test_patterns_have_zero_mean_and_are_orthogonal() -> None:
    flat = cell_patterns().reshape(3, -1)
    np.testing.assert_allclose(flat.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(flat @ flat.T / flat.shape[1], np.eye(3), atol=1e-6)
    weights = np.random.default_rng(0).normal(size=NUM_PATTERNS).astype(np.float32)
    np.testing.assert_allclose(project_patterns(render_patterns(weights)), weights, atol=1e-5)


def test_sampling_averages_and_drawing_interpolates() -> None:
    for low, side, count in ((-3.3, 110.0, 90), (4.5, 300.0, 320), (0.0, 30.0, 30)):
        np.testing.assert_allclose(
            downsampling_weights(low, side, count).sum(1)[2:-8], 1, atol=1e-5
        )  # what leaves the picture may be empty
        drawn = upsampling_weights(low, side, count).sum(1)
        inside = (np.arange(count) > low + side / WINDOW_SAMPLES) & (
            np.arange(count) < low + side - side / WINDOW_SAMPLES - 1
        )
        np.testing.assert_allclose(drawn[inside], 1, atol=1e-5)


def test_the_order_is_part_of_the_format() -> None:
    """Another schedule would not read existing watermarks."""
    bits, offsets = bit_schedule()
    assert bits.shape == offsets.shape == (ROUND_SLOTS, NUM_PATTERNS)
    assert (np.sort(bits, 1) == np.arange(NUM_PATTERNS)).all()
    digest = hashlib.sha256(bits.astype("<i8").tobytes() + offsets.astype("<f8").tobytes())
    assert digest.hexdigest()[:16] == "b813ff6a95a3f2db"
    np.testing.assert_array_equal(
        slots_from_times(np.array([0, SLOT_SECONDS * 0.99, SLOT_SECONDS, 16 * SLOT_SECONDS])),
        [0, 0, 1, 0],
    )


def skin(seed: int, size: int = 200) -> np.ndarray:
    """Return a smooth colored surface with some texture, levels. [size, size, 3]"""
    rng = np.random.default_rng(seed)
    rough = gaussian_filter(rng.normal(size=(size, size, 3)), (6, 6, 0))
    return (140 + 25 * rough / rough.std()).clip(20, 235).astype(np.float32)


def embed_in_still_frames(
    side: float, frames: int = 60
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embed the id in still frames; return pixels before and after, and times. [N, H, W, 3]"""
    before, after, marker = [], [], WatermarkEmbedder(ID)
    for number in range(frames):
        frame = Frame.from_rgb(np.zeros((200, 200, 3), np.uint8), index=number)
        paint = skin(number)
        before.append(paint.copy())
        inside = np.zeros((200, 200), bool)
        inside[20:180, 10:190] = True
        marker.embed_watermark(
            frame, paint, inside, (40, 30), np.array([40.0, 30.0, side], np.float32)
        )
        assert (paint[~inside] == before[-1][~inside]).all()
        after.append(paint)
    return np.array(before), np.array(after), np.arange(frames) / 25


def seen(pictures: np.ndarray, times: np.ndarray, side: float, step: float) -> np.ndarray:
    luma = rgb_to_yuv_matrix(6, True, 8)[0][:, 0]
    at = downsampling_weights(0.0, side, 200)
    found = project_patterns(np.array([at @ (np.rint(p) @ luma) @ at.T for p in pictures]))
    return compute_bit_certainties(
        *accumulate_directions(found[:, None], np.ones_like(found), times, step)
    )[0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("side", [200.0, 180.0])
def test_a_mark_is_read_without_the_original(side: float) -> None:
    before, after, times = embed_in_still_frames(side)
    found = decode_payload(seen(after, times, side, SMALL_WINDOW_STEP_LEVELS))
    assert found is not None
    assert found.watermark_id == ID
    assert decode_payload(seen(before, times, side, SMALL_WINDOW_STEP_LEVELS)) is None
    # A level or two of 255, and no more than a few anywhere.
    change = after - before
    assert 0.3 < np.sqrt((change**2).mean()) < 1.5
    assert np.abs(change).max() < 9
    # Brightness is no part of it, and a little contrast does no harm.
    for other in (after + 12, after * 1.03):
        found = decode_payload(seen(other, times, side, SMALL_WINDOW_STEP_LEVELS))
        assert found is not None
        assert found.watermark_id == ID


def test_large_mouths_are_marked_more_softly() -> None:
    changes = {}
    for side in (200.0, 400.0):
        marker = WatermarkEmbedder(ID)
        size = int(side)
        frame = Frame.from_rgb(np.zeros((size, size, 3), np.uint8))
        before = skin(1, size)
        paint = before.copy()
        window = np.array([0.0, 0.0, side], np.float32)
        marker.embed_watermark(frame, paint, np.ones((size, size), bool), (0, 0), window)
        changes[side] = np.sqrt(((paint - before) ** 2).mean())
    assert changes[400.0] / changes[200.0] == pytest.approx(
        LARGE_WINDOW_STEP_LEVELS / SMALL_WINDOW_STEP_LEVELS, rel=0.25
    )


def test_an_empty_mask_changes_nothing() -> None:
    frame = Frame.from_rgb(np.zeros((64, 64, 3), np.uint8))
    paint = skin(2, 64)
    before = paint.copy()
    WatermarkEmbedder(ID).embed_watermark(
        frame, paint, np.zeros((64, 64), bool), (0, 0), np.array([0.0, 0.0, 60.0])
    )
    np.testing.assert_array_equal(paint, before)
