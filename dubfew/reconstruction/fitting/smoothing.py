"""The detector's jitter taken out of a fitted clip, without taking out lip closures.

Two filters, both without lag, both letting through what stands out of the noise: one for the
head's rigid motion, one for the mouth. Each is a quadratic through a sliding window (Savitzky and
Golay 1964); what it leaves over is added again where its power is above the noise's (the local
Wiener filter of Lee 1980). The noise is measured in the clip itself.

The mouth's motion is taken apart first. How far the lips are open is left alone: it is what the
eye and the ear check against each other, a closure lasts two frames, and of all that a detector
says about a mouth it is the surest (on synthetic people its power is above the error's at every
frequency). All else that a mouth does is slower than the detector's error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import FaceParameters
from dubfew.reconstruction.fitting.point_rig import PointRig
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS

# s, nine frames of 25 a second. One for both: what is taken from the head and what from the mouth
# lie in the same place of the picture, and cancel.
SMOOTHING_WINDOW_SECONDS = 0.36
POWER_WINDOW_SECONDS = 0.12  # s over which power is compared with the noise's
# What must be exceeded, in powers of the noise: chance rarely reaches it in three frames.
HEAD_NOISE_FACTOR, MOUTH_NOISE_FACTOR = 8.0, 6.0
# A head that never rests shows no noise to measure: then it is at most this share of the distance
# between the eyes, what a small, grainy face had.
MAX_HEAD_NOISE_FRACTION = 0.006
MIN_SMOOTHING_FRAMES = 5  # frames through which a quadratic leaves something over
HEAD_HALF_WIDTH_METERS = 0.08  # m: a head's, which turns radians into metres
# Modes by size: speech fills the first, the detector's error all alike.
NOISE_MODE_RANGE = slice(2, 12)
MIDDLE_LIP_PAIRS = slice(2, 7)  # of the inner lips' pairs from corner to corner


def smooth_parameters(
    parameters: FaceParameters,
    runs: Sequence[slice],
    head: HeadModel,
    shape: NDArray,  # [S]
    fps: Fraction,
) -> FaceParameters:
    """Smooth head and mouth within each unbroken run of frames.

    Args:
        parameters: fitted frame by frame.
        runs: runs of its rows; what is outside of them is left alone.
        head: the model that was fitted.
        shape: whose face. [S]
        fps: frame rate: the windows are lengths of time.

    Returns:
        The same frames. The openness of the lips, to first order, is the same.
    """
    if len(parameters) < MIN_SMOOTHING_FRAMES:
        return parameters
    window, burst = (
        _round_to_odd(SMOOTHING_WINDOW_SECONDS * fps),
        _round_to_odd(POWER_WINDOW_SECONDS * fps),
    )
    rigid = np.concatenate(
        [
            Rotation.from_matrix(parameters.rotation).as_rotvec() * HEAD_HALF_WIDTH_METERS,
            parameters.translation,
        ],
        1,
    )
    rigid = _smooth_head(
        rigid, runs, window, burst, MAX_HEAD_NOISE_FRACTION * head.inter_ocular_distance(shape)
    )
    mouth = _MouthModes.from_parameters(parameters, head, shape)
    values = mouth.project_parameters(parameters)
    modes = _smooth_modes(values, runs, window, burst)
    return replace(
        mouth.add_to_parameters(parameters, modes - values),
        rotation=Rotation.from_rotvec(rigid[:, :3] / HEAD_HALF_WIDTH_METERS).as_matrix(),
        translation=rigid[:, 3:],
    )


def _smooth_head(
    rigid: NDArray, runs: Sequence[slice], window: int, power_window: int, noise_limit: float
) -> NDArray[np.float64]:
    """Rotation and translation in m. [N, 6]"""
    slow = _fit_sliding_quadratic(rigid, runs, window)
    rest = rigid - slow
    # Depth is uncertain and hardly seen: it does not say whether the head moves.
    power = (rest[:, :5] ** 2).sum(1, keepdims=True)
    noise = min(float(np.median(power)), noise_limit**2)
    return slow + _wiener_gain(power, runs, power_window, HEAD_NOISE_FACTOR * noise) * rest


def _smooth_modes(
    values: NDArray, runs: Sequence[slice], window: int, power_window: int
) -> NDArray[np.float64]:
    """Modes in order of size. [N, M]"""
    slow = _fit_sliding_quadratic(values, runs, window)
    rest = values - slow
    noise = float(np.median((rest[:, NOISE_MODE_RANGE] ** 2).mean(0)))
    return slow + _wiener_gain(rest**2, runs, power_window, MOUTH_NOISE_FACTOR * noise) * rest


def _fit_sliding_quadratic(
    values: NDArray, runs: Sequence[slice], window: int
) -> NDArray[np.float64]:
    """The quadratic through each frame's window; runs shorter than it stay. [N, C]"""
    slow = values.copy()
    for shot in runs:
        length = min(window, (len(values[shot]) - 1) // 2 * 2 + 1)
        if length >= MIN_SMOOTHING_FRAMES:
            slow[shot] = savgol_filter(values[shot], length, 2, axis=0)
    return slow


def _wiener_gain(
    power: NDArray, runs: Sequence[slice], power_window: int, noise: float
) -> NDArray[np.float64]:
    """Which share of the rest is motion: 0 to 1. [N, C]"""
    share = np.ones_like(power)
    for shot in runs:
        local = uniform_filter1d(power[shot], power_window, axis=0)
        share[shot] = np.clip(1 - noise / np.maximum(local, 1e-30), 0, 1)
    return share


def _round_to_odd(frames: Fraction | float) -> int:
    return max(3, round((float(frames) - 1) / 2) * 2 + 1)


@dataclass(frozen=True)
class _MouthModes:
    """A clip's mouth parameters as modes that move the landmarks independently of each other.

    Attributes:
        mean: of jaw and expression. [3 + E]
        modes: what a unit of each mode adds to jaw and expression, the largest first. [M, 3 + E]
        inverse: from jaw and expression to modes. [3 + E, M]
    """

    mean: NDArray[np.float64]
    modes: NDArray[np.float64]
    inverse: NDArray[np.float64]

    @classmethod
    def from_parameters(
        cls, clip_parameters: FaceParameters, head: HeadModel, shape: NDArray
    ) -> _MouthModes:
        """Principal modes of the landmarks' motion, openness of the lips taken out."""
        parameters = _stack_mouth_parameters(clip_parameters)
        mean = parameters.mean(0)
        slopes = _landmark_jacobian(head, shape, mean)
        count = slopes.shape[-1]
        flat = slopes.reshape(-1, count) / np.sqrt(len(slopes))
        metric = flat.T @ flat
        # Directions that no landmark shows would have no inverse.
        metric += 1e-6 * np.trace(metric) / count * np.eye(count)
        root = np.linalg.cholesky(metric)
        openness = np.linalg.solve(root, _lip_opening_gradient(head, slopes))
        openness /= np.linalg.norm(openness)
        others = np.eye(count) - np.outer(openness, openness)
        motion = (parameters - mean) @ root @ others
        _, _, directions = np.linalg.svd(motion, full_matrices=False)
        directions = directions @ others
        return cls(mean, directions @ np.linalg.inv(root), root @ directions.T)

    def project_parameters(self, clip_parameters: FaceParameters) -> NDArray[np.float64]:
        """The modes of every frame, m at the mean landmark. [N, M]"""
        return (_stack_mouth_parameters(clip_parameters) - self.mean) @ self.inverse

    def add_to_parameters(
        self, clip_parameters: FaceParameters, mode_change: NDArray
    ) -> FaceParameters:
        """The pose with the modes changed by [N, M]."""
        added = mode_change @ self.modes
        return replace(
            clip_parameters,
            jaw=clip_parameters.jaw + added[:, :3],
            expression=clip_parameters.expression + added[:, 3:],
        )


def _stack_mouth_parameters(clip_parameters: FaceParameters) -> NDArray[np.float64]:
    return np.concatenate([clip_parameters.jaw, clip_parameters.expression], 1)


def _landmark_jacobian(head: HeadModel, shape: NDArray, mean: NDArray) -> NDArray[np.float64]:
    """How jaw and expression move each landmark in head space. [L, 3, 3 + E]"""
    rig = PointRig(head, head.landmark_matrix())
    posed = rig.pose_points(shape, mean[None, :3], mean[None, 3:])
    axes = np.broadcast_to(np.eye(3), (1, len(head.landmark_ids), 3, 3))
    return rig.jacobian(posed, axes)[0].astype(np.float64)


def _lip_opening_gradient(head: HeadModel, jacobian: NDArray) -> NDArray[np.float64]:
    """How jaw and expression open the middle of the lips. [3 + E]"""
    row = {int(point): index for index, point in enumerate(head.landmark_ids)}
    pairs = list(zip(INNER_LIPS[1:10], INNER_LIPS[:10:-1], strict=True))[MIDDLE_LIP_PAIRS]
    upper, lower = ([row[point] for point in side] for side in zip(*pairs, strict=True))
    return np.asarray((jacobian[upper, 1] - jacobian[lower, 1]).mean(0))
