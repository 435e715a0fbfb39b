"""One step of Gauss and Newton: many frames and what they share, or many frames in a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solveh_banded
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import JAW_PRECISION, FaceParameters
from dubfew.reconstruction.fitting.photometric.stages import FitStage

HEAD_WIDTH_METERS = 0.15  # m, about a face's width: brings metres to the size of radians
FROZEN_PRECISION = 1e12  # precision of what a stage leaves alone


def _prior_precision(stage: FitStage, num_expressions: int) -> NDArray[np.float64]:
    """Inverse variances of a frame's parameters around zero; its pose is free. [9 + E]"""
    expression = np.full(num_expressions, stage.weights.expression)
    return np.concatenate([np.full(6, 1e-6), JAW_PRECISION**2, expression])


def _frozen_precision(stage: FitStage, num_parameters: int) -> NDArray[np.float64]:
    """FIXED where a stage leaves a parameter alone, 0 where it moves it."""
    held = np.zeros(num_parameters)
    for name, place in {
        "rotation": slice(0, 3), "translation": slice(3, 6), "jaw": slice(6, 9),
        "expression": slice(9, None),
    }.items():  # fmt: skip
        if name not in stage.optimized_parameters:
            held[place] = FROZEN_PRECISION
    return held


def solve_joint_step(
    stage: FitStage,
    hessians: NDArray,  # [K, D, D]
    gradients: NDArray,  # [K, D]
    frame_values: NDArray,  # [K, 3 + E]
    clip_values: NDArray,  # [S + 1]
) -> tuple[NDArray, NDArray]:
    """Step of K frames [K, 9 + E] and of what they share [S + 1]: frames are eliminated first."""
    frames, n = len(hessians), 6 + frame_values.shape[1]
    weights = stage.weights
    prior = _prior_precision(stage, n - 9)
    # Frames of a clip are far from independent: their mean counts, not their sum.
    scale = 4.0 / frames
    pull = np.append(np.full(len(clip_values) - 1, weights.shape), weights.focal)
    held = np.append(
        np.full(
            len(clip_values) - 1, 0.0 if "shape" in stage.optimized_parameters else FROZEN_PRECISION
        ),
        0.0 if "focal" in stage.optimized_parameters else FROZEN_PRECISION,
    )
    matrix = np.diag(pull + held) / scale
    vector = pull * clip_values / scale
    kept = []
    for k in range(frames):
        own = hessians[k, :n, :n] + np.diag(prior + _frozen_precision(stage, n))
        own = own + stage.damping * np.diag(np.diag(own))
        slope = gradients[k, :n] + prior * np.concatenate([np.zeros(6), frame_values[k]])
        factor = cho_factor(own)
        mixed = hessians[k, :n, n:]
        solved = cho_solve(factor, np.column_stack([mixed, slope]))
        matrix = matrix + hessians[k, n:, n:] - mixed.T @ solved[:, :-1]
        vector = vector + gradients[k, n:] - mixed.T @ solved[:, -1]
        kept.append(solved)
    matrix = matrix + stage.damping * np.diag(np.diag(matrix))
    clip = -np.linalg.solve(matrix, vector)
    return np.stack([-(s[:, -1] + s[:, :-1] @ clip) for s in kept]), clip


def solve_chain_step(
    stage: FitStage,
    hessians: NDArray,  # [N, D, D]
    gradients: NDArray,  # [N, D]
    pose: FaceParameters,
    follows_previous: NDArray[np.bool_],  # [N]
    previous_pose: FaceParameters | None,
) -> NDArray[np.float64]:
    """Step of N frames in a row [N, D], each held near the one before it."""
    frames, n = gradients.shape
    prior = _prior_precision(stage, n - 9)
    weights = stage.weights
    near = np.concatenate(
        [
            np.full(3, weights.head_temporal),
            np.full(3, weights.head_temporal / HEAD_WIDTH_METERS**2),
            weights.face_temporal * JAW_PRECISION**2,
            np.full(n - 9, weights.face_temporal),
        ]
    )
    matrix = hessians + np.diag(prior + _frozen_precision(stage, n))
    vector = gradients.copy()
    vector[:, 6:] += prior[6:] * np.concatenate([pose.jaw, pose.expression], 1)
    band = np.zeros((n + 1, frames * n))  # upper form: row n is the diagonal
    for k in range(frames):
        earlier = pose.select(slice(k - 1, k)) if k else previous_pose
        if follows_previous[k] and earlier is not None:
            pull = near * _pose_difference(earlier, pose.select(slice(k, k + 1)))
            vector[k] += pull
            matrix[k] += np.diag(near)
            if k:
                vector[k - 1] -= pull
                matrix[k - 1] += np.diag(near)
                band[0, k * n : (k + 1) * n] = -near
    for k in range(frames):
        matrix[k] += stage.damping * np.diag(np.diag(matrix[k]))
        for offset in range(n):
            band[n - offset, k * n + offset : (k + 1) * n] = np.diagonal(matrix[k], offset)
    return -solveh_banded(band, vector.ravel(), check_finite=False).reshape(frames, n)


def _pose_difference(earlier: FaceParameters, later: FaceParameters) -> NDArray[np.float64]:
    """Parameters of one frame minus those of the one before it. [D]"""
    turn = Rotation.from_matrix(later.rotation[0] @ earlier.rotation[0].T).as_rotvec()
    return np.concatenate(
        [
            turn,
            later.translation[0] - earlier.translation[0],
            later.jaw[0] - earlier.jaw[0],
            later.expression[0] - earlier.expression[0],
        ]
    )


def apply_step(pose: FaceParameters, step: NDArray) -> FaceParameters:
    """Parameters after a step [N, 9 + E]."""
    return FaceParameters(
        Rotation.from_rotvec(step[:, :3]).as_matrix() @ pose.rotation,
        pose.translation + step[:, 3:6],
        pose.jaw + step[:, 6:9],
        pose.expression + step[:, 9:],
    )
