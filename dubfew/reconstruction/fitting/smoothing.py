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

from dubfew.reconstruction.fitting.landmark_fit import PointRig, Pose
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS

# s, nine frames of 25 a second. One for both: what is taken from the head and what from the mouth
# lie in the same place of the picture, and cancel.
WINDOW = 0.36
BURST = 0.12  # s over which power is compared with the noise's
# What must be exceeded, in powers of the noise: chance rarely reaches it in three frames.
HEAD_MARGIN, MOUTH_MARGIN = 8.0, 6.0
# A head that never rests shows no noise to measure: then it is at most this share of the distance
# between the eyes, what a small, grainy face had.
NOISE_LIMIT = 0.006
FEWEST = 5  # frames through which a quadratic leaves something over
HALF_WIDTH = 0.08  # m: a head's, which turns radians into metres
# Modes by size: speech fills the first, the detector's error all alike.
NOISE_MODES = slice(2, 12)
MIDDLE = slice(2, 7)  # of the inner lips' pairs from corner to corner


def smooth(
    pose: Pose,
    shots: Sequence[slice],
    head: HeadModel,
    shape: NDArray,  # [S]
    fps: Fraction,
) -> Pose:
    """Smooth head and mouth within each unbroken run of frames.

    Args:
        pose: fitted frame by frame.
        shots: runs of its rows; what is outside of them is left alone.
        head: the model that was fitted.
        shape: whose face. [S]
        fps: frame rate: the windows are lengths of time.

    Returns:
        The same frames. The openness of the lips, to first order, is the same.
    """
    if len(pose) < FEWEST:
        return pose
    window, burst = _odd(WINDOW * fps), _odd(BURST * fps)
    rigid = np.concatenate(
        [Rotation.from_matrix(pose.rotation).as_rotvec() * HALF_WIDTH, pose.translation], 1
    )
    rigid = _smooth_head(rigid, shots, window, burst, NOISE_LIMIT * head.inter_ocular(shape))
    mouth = _Mouth.of(pose, head, shape)
    values = mouth.values(pose)
    modes = _smooth_modes(values, shots, window, burst)
    return replace(
        mouth.moved(pose, modes - values),
        rotation=Rotation.from_rotvec(rigid[:, :3] / HALF_WIDTH).as_matrix(),
        translation=rigid[:, 3:],
    )


def _smooth_head(
    rigid: NDArray, shots: Sequence[slice], window: int, burst: int, limit: float
) -> NDArray[np.float64]:
    """Rotation and translation in m. [N, 6]"""
    slow = _slow(rigid, shots, window)
    rest = rigid - slow
    # Depth is uncertain and hardly seen: it does not say whether the head moves.
    power = (rest[:, :5] ** 2).sum(1, keepdims=True)
    noise = min(float(np.median(power)), limit**2)
    return slow + _kept(power, shots, burst, HEAD_MARGIN * noise) * rest


def _smooth_modes(
    values: NDArray, shots: Sequence[slice], window: int, burst: int
) -> NDArray[np.float64]:
    """Modes in order of size. [N, M]"""
    slow = _slow(values, shots, window)
    rest = values - slow
    noise = float(np.median((rest[:, NOISE_MODES] ** 2).mean(0)))
    return slow + _kept(rest**2, shots, burst, MOUTH_MARGIN * noise) * rest


def _slow(values: NDArray, shots: Sequence[slice], window: int) -> NDArray[np.float64]:
    """The quadratic through each frame's window; runs shorter than it stay. [N, C]"""
    slow = values.copy()
    for shot in shots:
        length = min(window, (len(values[shot]) - 1) // 2 * 2 + 1)
        if length >= FEWEST:
            slow[shot] = savgol_filter(values[shot], length, 2, axis=0)
    return slow


def _kept(power: NDArray, shots: Sequence[slice], burst: int, noise: float) -> NDArray[np.float64]:
    """Which share of the rest is motion: 0 to 1. [N, C]"""
    share = np.ones_like(power)
    for shot in shots:
        local = uniform_filter1d(power[shot], burst, axis=0)
        share[shot] = np.clip(1 - noise / np.maximum(local, 1e-30), 0, 1)
    return share


def _odd(frames: Fraction | float) -> int:
    return max(3, round((float(frames) - 1) / 2) * 2 + 1)


@dataclass(frozen=True)
class _Mouth:
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
    def of(cls, pose: Pose, head: HeadModel, shape: NDArray) -> _Mouth:
        """Principal modes of the landmarks' motion, openness of the lips taken out."""
        parameters = _parameters(pose)
        mean = parameters.mean(0)
        slopes = _slopes(head, shape, mean)
        count = slopes.shape[-1]
        flat = slopes.reshape(-1, count) / np.sqrt(len(slopes))
        metric = flat.T @ flat
        # Directions that no landmark shows would have no inverse.
        metric += 1e-6 * np.trace(metric) / count * np.eye(count)
        root = np.linalg.cholesky(metric)
        openness = np.linalg.solve(root, _openness(head, slopes))
        openness /= np.linalg.norm(openness)
        others = np.eye(count) - np.outer(openness, openness)
        motion = (parameters - mean) @ root @ others
        _, _, directions = np.linalg.svd(motion, full_matrices=False)
        directions = directions @ others
        return cls(mean, directions @ np.linalg.inv(root), root @ directions.T)

    def values(self, pose: Pose) -> NDArray[np.float64]:
        """The modes of every frame, m at the mean landmark. [N, M]"""
        return (_parameters(pose) - self.mean) @ self.inverse

    def moved(self, pose: Pose, change: NDArray) -> Pose:
        """The pose with the modes changed by [N, M]."""
        added = change @ self.modes
        return replace(pose, jaw=pose.jaw + added[:, :3], expression=pose.expression + added[:, 3:])


def _parameters(pose: Pose) -> NDArray[np.float64]:
    return np.concatenate([pose.jaw, pose.expression], 1)


def _slopes(head: HeadModel, shape: NDArray, mean: NDArray) -> NDArray[np.float64]:
    """How jaw and expression move each landmark in head space. [L, 3, 3 + E]"""
    rig = PointRig(head, head.landmark_matrix())
    posed = rig.pose(shape, mean[None, :3], mean[None, 3:])
    axes = np.broadcast_to(np.eye(3), (1, len(head.landmark_ids), 3, 3))
    return rig.slopes(posed, axes)[0].astype(np.float64)


def _openness(head: HeadModel, slopes: NDArray) -> NDArray[np.float64]:
    """How jaw and expression open the middle of the lips. [3 + E]"""
    row = {int(point): index for index, point in enumerate(head.landmark_ids)}
    pairs = list(zip(INNER_LIPS[1:10], INNER_LIPS[:10:-1], strict=True))[MIDDLE]
    upper, lower = ([row[point] for point in side] for side in zip(*pairs, strict=True))
    return np.asarray((slopes[upper, 1] - slopes[lower, 1]).mean(0))
