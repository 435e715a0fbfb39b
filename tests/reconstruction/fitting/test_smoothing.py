from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import FaceParameters
from dubfew.reconstruction.fitting.smoothing import smooth_parameters
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS

HEAD = load_head_model()
SHAPE = np.zeros(len(HEAD.shape_basis), np.float32)
RATE = Fraction(25)


def sway(n: int, noise: float = 0.0, nod: float = 0.0) -> tuple[FaceParameters, np.ndarray]:
    """A still face whose head nods for two frames, and its rotation without noise. [N, 3]"""
    rng = np.random.default_rng(0)
    clean = np.zeros((n, 3))
    clean[n // 2 : n // 2 + 2, 0] = nod
    noisy = clean + noise * rng.standard_normal((n, 3))
    place = np.tile([0, 0, 0.6], (n, 1))
    still = np.zeros((n, len(HEAD.expression_basis)))
    return FaceParameters(
        Rotation.from_rotvec(noisy).as_matrix(), place, np.zeros((n, 3)), still
    ), clean


def mutter(n: int) -> tuple[FaceParameters, FaceParameters]:
    """A mouth half open that shuts every twelfth frame, without and with noise of 0.1 mm from
    every coefficient of the mouth."""
    rng = np.random.default_rng(1)
    pose, _ = sway(n)
    jaw = np.zeros((n, 3))
    jaw[:, 0] = 0.15
    jaw[6::12, 0] = 0.0
    clean = replace(pose, jaw=jaw)
    lips = HEAD.point_matrix(INNER_LIPS) @ HEAD.expression_basis[: HEAD.mouth_expressions]
    size = np.sqrt((lips**2).sum(-1).mean(-1))
    noise = np.zeros_like(pose.expression)
    noise[:, : len(size)] = 1e-4 / size * rng.standard_normal((n, len(size)))
    return clean, replace(clean, expression=noise)


def whole(pose: FaceParameters) -> list[slice]:
    return [slice(0, len(pose))]


def vertices(pose: FaceParameters) -> np.ndarray:
    return HEAD.vertices(SHAPE, pose.expression, pose.jaw)


def gap(pose: FaceParameters) -> np.ndarray:
    """Openness of the lips' middle, m. [N]"""
    upper, lower = HEAD.point_matrix(INNER_LIPS[3:8]), HEAD.point_matrix(INNER_LIPS[17:12:-1])
    return ((upper - lower) @ vertices(pose))[..., 1].mean(1)


def bend(values: np.ndarray) -> float:
    """How much a curve jitters."""
    return float(np.diff(values, 2, axis=0).std())


def turns(pose: FaceParameters) -> np.ndarray:
    return Rotation.from_matrix(pose.rotation).as_rotvec()


def test_jitter_of_a_still_head_is_quartered():
    pose, _ = sway(60, noise=0.002)
    assert bend(turns(smooth_parameters(pose, whole(pose), HEAD, SHAPE, RATE))) < 0.25 * bend(
        turns(pose)
    )


def test_a_quick_nod_is_kept():
    pose, clean = sway(60, noise=0.001, nod=0.1)
    after = turns(smooth_parameters(pose, whole(pose), HEAD, SHAPE, RATE))
    assert after[30:32, 0].min() > 0.09
    assert np.abs(after - clean)[:25].max() < 0.003


def test_a_head_that_never_rests_is_not_rounded_off():
    """Its noise cannot be measured: motion must not pass for noise."""
    pose, _ = sway(60)
    nods = 0.2 * np.sin(np.arange(60) * 2 * np.pi / 6)[:, None] * [1, 0, 0]
    pose = replace(pose, rotation=Rotation.from_rotvec(nods).as_matrix())
    after = turns(smooth_parameters(pose, whole(pose), HEAD, SHAPE, RATE))
    assert after[:, 0].std() > 0.97 * nods[:, 0].std()


def test_closures_stay_where_they_are_and_as_deep():
    _, noisy = mutter(96)
    after = smooth_parameters(noisy, whole(noisy), HEAD, SHAPE, RATE)
    np.testing.assert_allclose(gap(after), gap(noisy), atol=3e-4)
    closed = np.arange(6, 96, 12)
    for frame in closed:
        near = slice(frame - 3, frame + 4)
        assert np.argmin(gap(after)[near]) == 3
    assert (gap(after)[closed] - gap(noisy)[closed]).mean() < 1e-4


def test_the_rest_of_the_mouth_jitters_less_and_is_truer():
    clean, noisy = mutter(96)
    after = smooth_parameters(noisy, whole(noisy), HEAD, SHAPE, RATE)
    before_error, after_error = (vertices(pose) - vertices(clean) for pose in (noisy, after))
    assert bend(after_error) < 0.6 * bend(before_error)
    assert np.abs(after_error).mean() < 0.7 * np.abs(before_error).mean()


def test_without_noise_a_mouth_is_left_alone():
    clean, _ = mutter(96)
    after = smooth_parameters(clean, whole(clean), HEAD, SHAPE, RATE)
    assert np.abs(vertices(after) - vertices(clean)).max() < 2e-4


def test_nothing_crosses_a_cut():
    """Two shots at once give what each gives, but for what is measured in both."""
    pose, _ = sway(60, noise=0.002)
    elsewhere = pose.translation.copy()
    elsewhere[30:] += [0.2, 0.1, 0.3]
    pose = replace(pose, translation=elsewhere)
    after = smooth_parameters(pose, [slice(0, 30), slice(30, 60)], HEAD, SHAPE, RATE)
    np.testing.assert_allclose(after.translation, elsewhere, atol=1e-9)


def test_windows_are_lengths_of_time():
    """The same nod, filmed at 50 frames a second, is kept as well as at 25."""
    times = np.arange(100) / 50
    nod = 0.06 * np.exp(-(((times - 1) / 0.06) ** 2))
    pose, _ = sway(100, noise=0.001)
    bent = Rotation.from_rotvec(nod[:, None] * [1, 0, 0]).as_matrix() @ pose.rotation
    pose = replace(pose, rotation=bent)
    after = turns(smooth_parameters(pose, whole(pose), HEAD, SHAPE, Fraction(50)))
    assert after[50, 0] > 0.055
    quiet = slice(0, 40)
    assert bend(after[quiet]) < 0.2 * bend(turns(pose)[quiet])


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 20])
def test_any_number_of_frames_passes(n):
    _, noisy = mutter(n)
    after = smooth_parameters(noisy, whole(noisy), HEAD, SHAPE, RATE)
    assert len(after) == n
    assert all(np.isfinite(getattr(after, name)).all() for name in ("jaw", "expression"))
    if n <= 4:
        np.testing.assert_allclose(after.expression, noisy.expression, atol=1e-9)
