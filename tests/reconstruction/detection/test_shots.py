from __future__ import annotations

import numpy as np
import pytest

from dubfew.media import Frame
from dubfew.reconstruction.detection.shots import (
    GRID_POINTS_PER_SIDE,
    ShotDetector,
    find_face_jumps,
    number_shots,
    sample_luma_grid,
)


def scene(seed: int, frames: int = 40, drift: float = 0.15) -> np.ndarray:
    """Make frames of a soft image that drifts, as brightness grids. [N, P]"""
    rng = np.random.default_rng(seed)
    waves = rng.normal(0, 1, (6, 2)), rng.uniform(0, 6, 6), rng.uniform(15, 30, 6)
    y, x = np.mgrid[:GRID_POINTS_PER_SIDE, :GRID_POINTS_PER_SIDE] / 6.0
    t = np.arange(frames)[:, None, None]
    luma = 120.0 + sum(
        a * np.sin(w[0] * (x + drift * t / 6) + w[1] * y + p)
        for w, p, a in zip(*waves, strict=True)
    )
    noise = rng.normal(0, 1, luma.shape)
    return np.clip(luma + noise, 0, 255).reshape(frames, -1).astype(np.float32)


def find_starts(points: np.ndarray) -> list[int]:
    detector = ShotDetector()
    for index, row in enumerate(points):
        detector.update_from_grid(index, row)
    return detector.starts


def test_a_cut_is_found_at_once():
    points = np.concatenate([scene(0), scene(1), scene(2)])
    detector = ShotDetector()
    at_once = [i for i, row in enumerate(points) if detector.update_from_grid(i, row)]
    assert detector.starts == at_once == [40, 80]


@pytest.mark.parametrize("length", [4, 8, 16])
def test_a_cross_fade_is_one_boundary_in_its_middle(length):
    weight = np.clip((np.arange(80) - 40 + length / 2) / length, 0, 1)[:, None]
    points = (1 - weight) * scene(0, 80) + weight * scene(1, 80)
    starts = find_starts(points.astype(np.float32))
    assert len(starts) == 1
    assert abs(starts[0] - 40) <= max(2, length // 4)


def test_a_dip_to_black_is_a_boundary():
    dark = np.minimum(np.abs(np.arange(80) - 39.5) / 8, 1)[:, None]
    points = np.concatenate([scene(0), scene(1)]) * dark
    starts = find_starts(points.astype(np.float32))
    assert starts
    assert all(32 <= start <= 48 for start in starts)


@pytest.mark.slow
def test_flash_exposure_passer_by_and_pan_are_not_cuts():
    still = scene(0, 80)
    assert find_starts(still) == []
    flash = still.copy()
    flash[30:32] = np.clip(flash[30:32] * 0.3 + 200, 0, 255)
    assert find_starts(flash) == []
    exposure = still * np.linspace(1, 0.5, 80, dtype=np.float32)[:, None]
    assert find_starts(exposure.astype(np.float32)) == []
    passer_by = still.copy()
    passer_by[40:46] = 30.0
    assert find_starts(passer_by) == []
    assert find_starts(scene(3, 80, drift=4.0)) == []  # a fast pan


def test_brightness_does_not_depend_on_bit_depth():
    rgb = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    eight = sample_luma_grid(Frame.from_rgb(rgb))
    ten = sample_luma_grid(Frame.from_rgb(rgb, pix_fmt="yuv420p10le"))
    assert eight.shape == ten.shape == (GRID_POINTS_PER_SIDE * GRID_POINTS_PER_SIDE,)
    ratio = np.polyfit(eight, ten, 1)[0]  # both have limited range
    assert ratio * 257 == pytest.approx(4, rel=0.02)


def test_faces_that_jump_or_grow_are_found():
    face = np.random.default_rng(0).uniform(-50, 50, (478, 3)).astype(np.float32)
    positions = np.array([100, 104, 108, 300, 304, np.nan, 308, 308, 308.0])
    landmarks = face + positions[:, None, None].astype(np.float32)
    landmarks[8] = face * 1.5 + 308
    assert find_face_jumps(landmarks) == [3, 8]
    landmarks[4:7] = np.nan  # after a long gap a face may be elsewhere
    assert find_face_jumps(landmarks[3:8]) == []


def test_shots_are_numbered():
    assert number_shots([], 3).tolist() == [0, 0, 0]
    assert number_shots([2, 0, 2, 9], 4).tolist() == [0, 0, 1, 1]
