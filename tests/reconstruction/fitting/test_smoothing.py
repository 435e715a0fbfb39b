from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import FaceParameters
from dubfew.reconstruction.fitting.smoothing import _filter_savitzky_golay, smooth_parameters
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS

HEAD = load_head_model()
SHAPE = np.zeros(len(HEAD.shape_basis), np.float32)
RATE = Fraction(25)


def nodding_head(n: int, noise: float = 0.0, nod: float = 0.0) -> tuple[FaceParameters, np.ndarray]:
    """Make a still head that nods for two frames, and its rotation without noise [N, 3]."""
    rng = np.random.default_rng(0)
    clean = np.zeros((n, 3))
    clean[n // 2 : n // 2 + 2, 0] = nod
    noisy = clean + noise * rng.standard_normal((n, 3))
    position = np.tile([0, 0, 0.6], (n, 1))
    still = np.zeros((n, len(HEAD.expression_basis)))
    return FaceParameters(
        Rotation.from_rotvec(noisy).as_matrix(), position, np.zeros((n, 3)), still
    ), clean


def closing_mouth(n: int) -> tuple[FaceParameters, FaceParameters]:
    """Make a half open mouth that closes every twelfth frame, without and with noise.

    The noise is 0.1 mm from every coefficient of the mouth.
    """
    rng = np.random.default_rng(1)
    pose, _ = nodding_head(n)
    jaw = np.zeros((n, 3))
    jaw[:, 0] = 0.15
    jaw[6::12, 0] = 0.0
    clean = replace(pose, jaw=jaw)
    lips = HEAD.point_matrix(INNER_LIPS) @ HEAD.expression_basis[: HEAD.mouth_expressions]
    size = np.sqrt((lips**2).sum(-1).mean(-1))
    noise = np.zeros_like(pose.expression)
    noise[:, : len(size)] = 1e-4 / size * rng.standard_normal((n, len(size)))
    return clean, replace(clean, expression=noise)


def one_run(pose: FaceParameters) -> list[slice]:
    return [slice(0, len(pose))]


def vertices(pose: FaceParameters) -> np.ndarray:
    return HEAD.vertices(SHAPE, pose.expression, pose.jaw)


def lip_opening(pose: FaceParameters) -> np.ndarray:
    """Measure the opening of the middle of the lips, m. [N]"""
    upper, lower = HEAD.point_matrix(INNER_LIPS[3:8]), HEAD.point_matrix(INNER_LIPS[17:12:-1])
    return ((upper - lower) @ vertices(pose))[..., 1].mean(1)


def jitter(values: np.ndarray) -> float:
    """Measure the standard deviation of a curve's second difference."""
    return float(np.diff(values, 2, axis=0).std())


def rotation_vectors(pose: FaceParameters) -> np.ndarray:
    return Rotation.from_matrix(pose.rotation).as_rotvec()


def test_jitter_of_a_still_head_is_quartered():
    pose, _ = nodding_head(60, noise=0.002)
    assert jitter(
        rotation_vectors(smooth_parameters(pose, one_run(pose), HEAD, SHAPE, RATE))
    ) < 0.25 * jitter(rotation_vectors(pose))


def test_a_quick_nod_is_kept():
    pose, clean = nodding_head(60, noise=0.001, nod=0.1)
    after = rotation_vectors(smooth_parameters(pose, one_run(pose), HEAD, SHAPE, RATE))
    assert after[30:32, 0].min() > 0.09
    assert np.abs(after - clean)[:25].max() < 0.003


def test_a_head_that_never_rests_keeps_its_motion():
    """Its noise cannot be measured, and its motion must not be taken for noise."""
    pose, _ = nodding_head(60)
    nods = 0.2 * np.sin(np.arange(60) * 2 * np.pi / 6)[:, None] * [1, 0, 0]
    pose = replace(pose, rotation=Rotation.from_rotvec(nods).as_matrix())
    after = rotation_vectors(smooth_parameters(pose, one_run(pose), HEAD, SHAPE, RATE))
    assert after[:, 0].std() > 0.97 * nods[:, 0].std()


def test_closures_keep_their_time_and_depth():
    _, noisy = closing_mouth(96)
    after = smooth_parameters(noisy, one_run(noisy), HEAD, SHAPE, RATE)
    np.testing.assert_allclose(lip_opening(after), lip_opening(noisy), atol=3e-4)
    closed = np.arange(6, 96, 12)
    for frame in closed:
        near = slice(frame - 3, frame + 4)
        assert np.argmin(lip_opening(after)[near]) == 3
    assert (lip_opening(after)[closed] - lip_opening(noisy)[closed]).mean() < 1e-4


def test_the_rest_of_the_mouth_jitters_less_and_has_less_error():
    clean, noisy = closing_mouth(96)
    after = smooth_parameters(noisy, one_run(noisy), HEAD, SHAPE, RATE)
    before_error, after_error = (vertices(pose) - vertices(clean) for pose in (noisy, after))
    assert jitter(after_error) < 0.6 * jitter(before_error)
    assert np.abs(after_error).mean() < 0.7 * np.abs(before_error).mean()


def test_a_mouth_without_noise_is_not_changed():
    clean, _ = closing_mouth(96)
    after = smooth_parameters(clean, one_run(clean), HEAD, SHAPE, RATE)
    assert np.abs(vertices(after) - vertices(clean)).max() < 2e-4


def test_nothing_is_smoothed_over_a_cut():
    """A head that rests at two places in two shots stays exactly at both."""
    pose, _ = nodding_head(60, noise=0.002)
    elsewhere = pose.translation.copy()
    elsewhere[30:] += [0.2, 0.1, 0.3]
    pose = replace(pose, translation=elsewhere)
    after = smooth_parameters(pose, [slice(0, 30), slice(30, 60)], HEAD, SHAPE, RATE)
    np.testing.assert_allclose(after.translation, elsewhere, atol=1e-9)


def test_windows_are_seconds_and_not_frames():
    """The same nod at 50 fps is kept as well as at 25 fps."""
    times = np.arange(100) / 50
    nod = 0.06 * np.exp(-(((times - 1) / 0.06) ** 2))
    pose, _ = nodding_head(100, noise=0.001)
    bent = Rotation.from_rotvec(nod[:, None] * [1, 0, 0]).as_matrix() @ pose.rotation
    pose = replace(pose, rotation=bent)
    after = rotation_vectors(smooth_parameters(pose, one_run(pose), HEAD, SHAPE, Fraction(50)))
    assert after[50, 0] > 0.055
    quiet = slice(0, 40)
    assert jitter(after[quiet]) < 0.2 * jitter(rotation_vectors(pose)[quiet])


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 20])
def test_any_number_of_frames(n):
    _, noisy = closing_mouth(n)
    after = smooth_parameters(noisy, one_run(noisy), HEAD, SHAPE, RATE)
    assert len(after) == n
    assert all(np.isfinite(getattr(after, name)).all() for name in ("jaw", "expression"))
    if n <= 4:
        np.testing.assert_allclose(after.expression, noisy.expression, atol=1e-9)


@pytest.mark.parametrize(("rows", "window"), [(5, 5), (9, 7), (40, 9)])
def test_the_sliding_quadratic_is_that_of_scipy(rows, window):
    values = np.random.default_rng(0).standard_normal((rows, 3))
    expected = savgol_filter(values, window, 2, axis=0)
    np.testing.assert_allclose(_filter_savitzky_golay(values, window), expected, atol=1e-12)
