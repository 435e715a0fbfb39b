"""Measures on constructed images and landmarks whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dubfew.evaluate import metrics
from dubfew.evaluate.face_geometry import LIP_POINTS, freeze_lips

FRAMES = 60


@pytest.fixture
def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(20, 236, (48, 64, 3), dtype=np.uint8)


def talking_head(frames: int = FRAMES, seed: int = 0) -> NDArray[np.float32]:
    """Landmarks of a face that drifts to the right while its lips open at random. [N, 478, 3]"""
    rng = np.random.default_rng(seed)
    face = rng.uniform(0, 200, (478, 3)).astype(np.float32)
    face[33, :2], face[263, :2] = (50, 60), (150, 60)
    face[list(LIP_POINTS), :2] = rng.uniform((80, 140), (120, 160), (40, 2))
    face[[13, 14], :2] = (100, 150)
    clip = np.repeat(face[None], frames, axis=0)
    gap = gaussian_filter(rng.uniform(0, 40, frames), 1.0)
    clip[:, 14, 1] += gap
    clip[..., 0] += np.arange(frames)[:, None] * 0.5
    return clip.astype(np.float32)


def test_psnr_of_a_known_error(noise):
    # A constant error of 10 grey levels: 20 log10(255 / 10).
    assert metrics.psnr(noise, noise + 10) == pytest.approx(28.1308, abs=1e-4)


def test_psnr_counts_all_channels(noise):
    red = noise.copy()
    red[..., 0] += 10
    assert metrics.psnr(noise, red) == pytest.approx(28.1308 + 10 * math.log10(3), abs=1e-4)


def test_identical_frames(noise):
    assert metrics.psnr(noise, noise) == math.inf
    assert metrics.ssim(noise, noise) == pytest.approx(1)
    assert metrics.relative_sharpness(noise, noise) == 1


def test_ssim_falls_with_noise_and_is_undefined_below_its_window(noise):
    rng = np.random.default_rng(1)
    weak, strong = (
        np.clip(noise + rng.normal(0, sigma, noise.shape), 0, 255).astype(np.uint8)
        for sigma in (5, 40)
    )
    assert 1 > metrics.ssim(noise, weak) > metrics.ssim(noise, strong)
    assert math.isnan(metrics.ssim(noise[:6], weak[:6]))


def test_blur_lowers_sharpness(noise):
    soft, softer = (
        gaussian_filter(noise.astype(float), (sigma, sigma, 0)).astype(np.uint8)
        for sigma in (0.7, 2)
    )
    assert (
        1 > metrics.relative_sharpness(noise, soft) > metrics.relative_sharpness(noise, softer) > 0
    )


def test_sharpness_of_a_known_pattern():
    # A chequerboard of amplitude 1: the Laplacian is ±4 times the amplitude everywhere but the
    # border; halving the contrast quarters the variance.
    board = np.indices((64, 64)).sum(axis=0) % 2
    full, half = (np.repeat((board * step)[..., None], 3, 2).astype(np.uint8) for step in (80, 40))
    assert metrics.relative_sharpness(full, half) == pytest.approx(0.25, rel=1e-5)
    assert math.isnan(metrics.relative_sharpness(np.zeros_like(full), full))


def test_opening_in_units_of_the_eye_distance():
    clip = talking_head()
    clip[:, 13, :2], clip[:, 14, :2] = (100, 150), (100, 175)
    np.testing.assert_allclose(metrics.mouth_opening(clip), 0.25, rtol=1e-6)
    np.testing.assert_allclose(metrics.mouth_opening(clip * 3), 0.25, rtol=1e-6)


def test_a_mouth_against_itself():
    clip = talking_head()
    assert metrics.lip_landmark_distance(clip, clip) == 0
    assert metrics.opening_correlation(clip, clip) == pytest.approx(1)
    assert metrics.opening_lag_frames(clip, clip) == 0
    assert metrics.opening_std_ratio(clip, clip) == pytest.approx(1)


@pytest.mark.parametrize("late", [-4, -1, 1, 3])
def test_a_late_mouth_has_its_lag(late):
    clip = talking_head()
    order = np.clip(np.arange(FRAMES) - late, 0, FRAMES - 1)
    assert metrics.opening_lag_frames(clip, clip[order]) == late
    assert metrics.best_opening_correlation(clip, clip[order]) == pytest.approx(1, abs=1e-6)
    assert metrics.opening_correlation(clip, clip[order]) < 0.9


def test_lmd_in_percent_of_the_eye_distance():
    clip = talking_head()
    moved = clip.copy()
    moved[:, LIP_POINTS, 0] += 3  # eye corners are 100 px apart
    moved[:, LIP_POINTS, 1] += 4
    moved[..., 2] += 50  # depth does not count
    assert metrics.lip_landmark_distance(clip, moved) == pytest.approx(5, abs=1e-4)


def test_spread_of_a_mouth_that_moves_half_as_much():
    clip = talking_head()
    timid = clip.copy()
    timid[:, 14, :2] = (clip[:, 13, :2] + clip[:, 14, :2]) / 2
    assert metrics.opening_std_ratio(clip, timid) == pytest.approx(0.5, rel=1e-5)


def test_frames_without_a_face_are_left_out():
    clip = talking_head()
    output = clip.copy()
    output[10:20] = np.nan
    assert metrics.lip_landmark_distance(clip, output) == 0
    assert metrics.opening_correlation(clip, output) == pytest.approx(1)
    assert metrics.opening_std_ratio(clip, output) == pytest.approx(1, abs=0.5)


def test_nothing_to_measure_is_nan():
    clip = talking_head()
    gone = np.full_like(clip, np.nan)
    frozen = np.repeat(clip[:1], FRAMES, axis=0)
    for measure in metrics.LANDMARK_METRICS.values():
        assert math.isnan(measure(clip, gone))
    assert math.isnan(metrics.opening_correlation(clip, frozen))
    assert math.isnan(metrics.opening_std_ratio(frozen, clip))
    assert metrics.opening_std_ratio(clip, frozen) == pytest.approx(0, abs=1e-9)


def test_still_mouth_is_carried_by_the_head_and_scores_badly():
    clip = talking_head()
    still = freeze_lips(clip)
    assert metrics.mouth_opening(still).std() < 1e-5
    assert metrics.mouth_opening(still).mean() < metrics.mouth_opening(clip).mean() / 2
    assert metrics.lip_landmark_distance(clip, still) > 0.1
    # A head that only drifts, with a mouth that truly does not move, is predicted exactly.
    frozen = np.repeat(clip[:1], FRAMES, axis=0) + np.arange(FRAMES)[:, None, None] * np.float32(1)
    assert metrics.lip_landmark_distance(frozen, freeze_lips(frozen)) == pytest.approx(0, abs=1e-4)


def test_means():
    assert metrics.finite_mean(np.array([30.0, math.inf, 32.0, math.nan])) == 31
    assert metrics.finite_mean(np.array([math.inf])) == math.inf
    assert math.isnan(metrics.finite_mean(np.array([])))
    assert metrics.geometric_mean(np.array([0.5, 2.0])) == pytest.approx(1)
    assert math.isnan(metrics.geometric_mean(np.array([math.nan, 0.0])))
