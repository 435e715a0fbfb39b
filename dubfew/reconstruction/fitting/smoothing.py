"""Smoothing: removes the detector's jitter from a fitted clip and keeps lip closures.

Two filters without lag, one for the rigid motion of the head and one for the mouth. Each fits a
quadratic in a sliding window. The remainder is added again where its power exceeds that of the
noise, which is measured in the clip itself.

The mouth's motion is split into modes first, and the opening of the lips is left unchanged. Viewers
compare it with the sound, a closure lasts two frames, and the detector measures it best: on
synthetic people its power exceeds the error's at every frequency. All other motion of a mouth is
slower than the detector's error.

Source: Savitzky and Golay 1964, "Smoothing and Differentiation of Data by Simplified Least Squares
Procedures" (Analytical Chemistry 36); local Wiener filter: Lee 1980, "Digital Image Enhancement and
Noise Filtering by Use of Local Statistics" (IEEE TPAMI 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, uniform_filter1d
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import FaceParameters
from dubfew.reconstruction.fitting.point_rig import PointRig
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS

# Length of the sliding window, s: nine frames at 25 fps. Longer windows smooth more and cut off
# fast motion. Head and mouth have the same window: the corrections of both act at the same place
# of the image and cancel.
SMOOTHING_WINDOW_SECONDS = 0.36
# Time over which the remainder's power is averaged, s: three frames at 25 fps.
POWER_WINDOW_SECONDS = 0.12
# Power of the remainder, in powers of the noise, from which it counts as motion. Noise rarely
# reaches these values in three frames; lower ones keep more jitter, higher ones less fast motion.
HEAD_NOISE_FACTOR, MOUTH_NOISE_FACTOR = 8.0, 6.0
# Largest noise of a head's position, as a fraction of the distance between the eyes: that of a
# small, grainy face. It limits the estimate in clips whose head never rests.
MAX_HEAD_NOISE_FRACTION = 0.006
# Shortest run that is smoothed: through fewer frames a quadratic leaves no remainder.
MIN_SMOOTHING_FRAMES = 5
# Half the width of a head, m: it converts rotations to distances at the surface.
HEAD_HALF_WIDTH_METERS = 0.08
# Modes from which the noise is measured, the largest mode being 0. Speech is in the first modes,
# the detector's error is in all modes alike.
NOISE_MODE_RANGE = slice(2, 12)
# Pairs of inner-lip landmarks, counted from corner to corner, that define the lips' opening.
MIDDLE_LIP_PAIRS = slice(2, 7)
# Relative ridge on the landmarks' metric: directions that no landmark shows would have no inverse.
METRIC_RIDGE = 1e-6


def smooth_parameters(
    parameters: FaceParameters,
    runs: Sequence[slice],
    head: HeadModel,
    shape: NDArray,  # [S]
    fps: Fraction,
) -> FaceParameters:
    """Smooth head and mouth within each unbroken run of frames.

    Args:
        parameters: parameters that were fitted frame by frame.
        runs: rows of unbroken runs; rows outside of them are not changed.
        head: head model that was fitted.
        shape: identity coefficients. [S]
        fps: frame rate, which converts the windows from seconds to frames.

    Returns:
        Parameters of the same frames. The opening of the lips is unchanged to first order.
    """
    if len(parameters) < MIN_SMOOTHING_FRAMES:
        return parameters
    window = _round_to_odd(SMOOTHING_WINDOW_SECONDS * fps)
    power_window = _round_to_odd(POWER_WINDOW_SECONDS * fps)
    # Head: rotation, as a distance at the surface, and translation, both in m.
    rigid = np.concatenate(
        [
            Rotation.from_matrix(parameters.rotation).as_rotvec() * HEAD_HALF_WIDTH_METERS,
            parameters.translation,
        ],
        1,
    )
    rigid = _smooth_head(
        rigid,
        runs,
        window,
        power_window,
        MAX_HEAD_NOISE_FRACTION * head.inter_ocular_distance(shape),
    )
    # Mouth: jaw and expression, as modes without the opening of the lips.
    mouth = _MouthModes.from_parameters(parameters, head, shape)
    values = mouth.project_parameters(parameters)
    modes = _smooth_modes(values, runs, window, power_window)
    return replace(
        mouth.add_to_parameters(parameters, modes - values),
        rotation=Rotation.from_rotvec(rigid[:, :3] / HEAD_HALF_WIDTH_METERS).as_matrix(),
        translation=rigid[:, 3:],
    )


def _smooth_head(
    rigid: NDArray, runs: Sequence[slice], window: int, power_window: int, noise_limit: float
) -> NDArray[np.float64]:
    """Smooth rotation (m at the surface) and translation (m). [N, 6]"""
    slow = _fit_sliding_quadratic(rigid, runs, window)
    remainder = rigid - slow
    # Depth is left out: it is uncertain and hardly visible.
    power = (remainder[:, :5] ** 2).sum(1, keepdims=True)
    # In most frames a head rests, so that the median is the noise.
    noise = min(float(np.median(power)), noise_limit**2)
    return slow + _wiener_gain(power, runs, power_window, HEAD_NOISE_FACTOR * noise) * remainder


def _smooth_modes(
    values: NDArray, runs: Sequence[slice], window: int, power_window: int
) -> NDArray[np.float64]:
    """Smooth each mode by itself; modes are in order of size. [N, M]"""
    slow = _fit_sliding_quadratic(values, runs, window)
    remainder = values - slow
    noise = float(np.median((remainder[:, NOISE_MODE_RANGE] ** 2).mean(0)))
    gain = _wiener_gain(remainder**2, runs, power_window, MOUTH_NOISE_FACTOR * noise)
    return slow + gain * remainder


def _fit_sliding_quadratic(
    values: NDArray, runs: Sequence[slice], window: int
) -> NDArray[np.float64]:
    """Fit a quadratic to each frame's window and take its value there. [N, C]

    The window shrinks to the run's length; the shortest runs are not changed.
    """
    slow = values.copy()
    for run in runs:
        length = min(window, (len(values[run]) - 1) // 2 * 2 + 1)
        if length >= MIN_SMOOTHING_FRAMES:
            slow[run] = _filter_savitzky_golay(values[run], length)
    return slow


def _filter_savitzky_golay(values: NDArray, window: int) -> NDArray[np.float64]:
    """Fit a quadratic to the window around each row and take its middle. [N, C]

    The first and last rows lie on the quadratics of the first and last window. Equal to
    ``scipy.signal.savgol_filter``, without the import of ``scipy.signal``, which takes a second.

    Source: Savitzky and Golay 1964, "Smoothing and Differentiation of Data by Simplified Least
    Squares Procedures" (Analytical Chemistry 36).
    """
    half = window // 2
    powers = np.vander(np.arange(-half, half + 1.0), 3, increasing=True)
    # Least squares: from the values of a window to those of its quadratic.
    project = powers @ np.linalg.pinv(powers)
    slow = correlate1d(values, project[half], axis=0, mode="constant")
    slow[:half] = (project @ values[:window])[:half]
    slow[-half:] = (project @ values[-window:])[-half:]
    return slow


def _wiener_gain(
    power: NDArray, runs: Sequence[slice], power_window: int, noise: float
) -> NDArray[np.float64]:
    """Estimate the fraction of the remainder that is motion, 0 to 1. [N, C]"""
    # Rows outside of all runs keep their remainder.
    gain = np.ones_like(power)
    for run in runs:
        local_power = uniform_filter1d(power[run], power_window, axis=0)
        gain[run] = np.clip(1 - noise / np.maximum(local_power, 1e-30), 0, 1)
    return gain


def _round_to_odd(frames: Fraction | float) -> int:
    """Round to the nearest odd number, at least 3: windows are centered on a frame."""
    return max(3, round((float(frames) - 1) / 2) * 2 + 1)


@dataclass(frozen=True)
class _MouthModes:
    """A clip's mouth parameters as modes that move the landmarks independently of each other.

    Attributes:
        mean: mean of jaw and expression. [3 + E]
        modes: change of jaw and expression per unit of each mode, the largest mode first.
            [M, 3 + E]
        inverse: linear map from jaw and expression to modes. [3 + E, M]
    """

    mean: NDArray[np.float64]
    modes: NDArray[np.float64]
    inverse: NDArray[np.float64]

    @classmethod
    def from_parameters(
        cls, clip_parameters: FaceParameters, head: HeadModel, shape: NDArray
    ) -> _MouthModes:
        """Compute the principal modes of the landmarks' motion, without the lips' opening."""
        parameters = _stack_mouth_parameters(clip_parameters)
        mean = parameters.mean(0)
        jacobian = _landmark_jacobian(head, shape, mean)
        count = jacobian.shape[-1]
        # Metric: squared motion of the mean landmark by jaw and expression.
        flat = jacobian.reshape(-1, count) / np.sqrt(len(jacobian))
        metric = flat.T @ flat
        metric += METRIC_RIDGE * np.trace(metric) / count * np.eye(count)
        root = np.linalg.cholesky(metric)
        # Project the direction that opens the lips out of the motion.
        opening = np.linalg.solve(root, _lip_opening_gradient(head, jacobian))
        opening /= np.linalg.norm(opening)
        others = np.eye(count) - np.outer(opening, opening)
        motion = (parameters - mean) @ root @ others
        # Principal directions of the rest, largest first; rounding must not bring the opening
        # back.
        _, _, directions = np.linalg.svd(motion, full_matrices=False)
        directions = directions @ others
        return cls(mean, directions @ np.linalg.inv(root), root @ directions.T)

    def project_parameters(self, clip_parameters: FaceParameters) -> NDArray[np.float64]:
        """Project every frame's parameters onto the modes; m at the mean landmark. [N, M]"""
        return (_stack_mouth_parameters(clip_parameters) - self.mean) @ self.inverse

    def add_to_parameters(
        self, clip_parameters: FaceParameters, mode_change: NDArray
    ) -> FaceParameters:
        """Add a change of the modes [N, M] to the parameters."""
        added = mode_change @ self.modes
        return replace(
            clip_parameters,
            jaw=clip_parameters.jaw + added[:, :3],
            expression=clip_parameters.expression + added[:, 3:],
        )


def _stack_mouth_parameters(clip_parameters: FaceParameters) -> NDArray[np.float64]:
    """Put jaw and expression side by side. [N, 3 + E]"""
    return np.concatenate([clip_parameters.jaw, clip_parameters.expression], 1)


def _landmark_jacobian(head: HeadModel, shape: NDArray, mean: NDArray) -> NDArray[np.float64]:
    """Differentiate each landmark's position by jaw and expression. [L, 3, 3 + E]"""
    rig = PointRig(head, head.landmark_matrix())
    posed = rig.pose_points(shape, mean[None, :3], mean[None, 3:])
    axes = np.broadcast_to(np.eye(3), (1, len(head.landmark_ids), 3, 3))
    return rig.jacobian(posed, axes)[0].astype(np.float64)


def _lip_opening_gradient(head: HeadModel, jacobian: NDArray) -> NDArray[np.float64]:
    """Differentiate the opening of the middle of the lips by jaw and expression. [3 + E]"""
    row = {int(landmark): index for index, landmark in enumerate(head.landmark_ids)}
    # Upper lip from corner to corner, paired with the lower lip in the same direction.
    pairs = list(zip(INNER_LIPS[1:10], INNER_LIPS[:10:-1], strict=True))[MIDDLE_LIP_PAIRS]
    upper, lower = ([row[landmark] for landmark in side] for side in zip(*pairs, strict=True))
    return np.asarray((jacobian[upper, 1] - jacobian[lower, 1]).mean(0))
