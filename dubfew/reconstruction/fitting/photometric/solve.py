"""One step of Gauss and Newton: many frames and what they share, or many frames in a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solveh_banded
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import JAW_PRECISION, FaceParameters
from dubfew.reconstruction.fitting.photometric.layout import (
    EXPRESSION_COLUMNS,
    FRAME_PARAMETER_COLUMNS,
    JAW_COLUMNS,
    LOG_FOCAL_COLUMN,
    NUM_POSE_PARAMETERS,
    NUM_RIGID_PARAMETERS,
    ROTATION_COLUMNS,
    SHAPE_COLUMNS,
    TRANSLATION_COLUMNS,
)
from dubfew.reconstruction.fitting.photometric.stages import FitStage

HEAD_WIDTH_METERS = 0.15  # m, about a face's width: brings metres to the size of radians
FROZEN_PRECISION = 1e12  # precision of what a stage leaves alone


def _prior_precision(stage: FitStage, num_expressions: int) -> NDArray[np.float64]:
    """Inverse variances of a frame's parameters around zero; its pose is free. [9 + E]"""
    expression = np.full(num_expressions, stage.weights.expression)
    return np.concatenate([np.full(NUM_POSE_PARAMETERS, 1e-6), JAW_PRECISION**2, expression])


def _frozen_precision(stage: FitStage, num_parameters: int) -> NDArray[np.float64]:
    """FIXED where a stage leaves a parameter alone, 0 where it moves it."""
    held = np.zeros(num_parameters)
    for name, columns in FRAME_PARAMETER_COLUMNS.items():
        if name not in stage.optimized_parameters:
            held[columns] = FROZEN_PRECISION
    return held


def _clip_precisions(stage: FitStage, num_parameters: int) -> tuple[NDArray, NDArray]:
    """Precisions of a clip's parameters: of the pull to zero, and of what is frozen. [S + 1]"""
    pull, held = np.empty(num_parameters), np.zeros(num_parameters)
    pull[SHAPE_COLUMNS], pull[LOG_FOCAL_COLUMN] = stage.weights.shape, stage.weights.focal
    for name, columns in (("shape", SHAPE_COLUMNS), ("focal", LOG_FOCAL_COLUMN)):
        if name not in stage.optimized_parameters:
            held[columns] = FROZEN_PRECISION
    return pull, held


def solve_joint_step(
    stage: FitStage,
    hessians: NDArray,  # [K, D, D]
    gradients: NDArray,  # [K, D]
    frame_values: NDArray,  # [K, 3 + E]
    clip_values: NDArray,  # [S + 1]
) -> tuple[NDArray, NDArray]:
    """Step of K frames [K, 9 + E] and of what they share [S + 1]: frames are eliminated first."""
    frames, n = len(hessians), NUM_POSE_PARAMETERS + frame_values.shape[1]
    prior = _prior_precision(stage, n - NUM_RIGID_PARAMETERS)
    # Frames of a clip are far from independent: their mean counts, not their sum.
    scale = 4.0 / frames
    pull, held = _clip_precisions(stage, len(clip_values))
    matrix = np.diag(pull + held) / scale
    vector = pull * clip_values / scale
    kept = []
    for k in range(frames):
        own = hessians[k, :n, :n] + np.diag(prior + _frozen_precision(stage, n))
        own = own + stage.damping * np.diag(np.diag(own))
        slope = gradients[k, :n] + prior * np.concatenate(
            [np.zeros(NUM_POSE_PARAMETERS), frame_values[k]]
        )
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
    prior = _prior_precision(stage, n - NUM_RIGID_PARAMETERS)
    near = _temporal_precision(stage, n)
    matrix = hessians + np.diag(prior + _frozen_precision(stage, n))
    vector = gradients.copy()
    vector[:, NUM_POSE_PARAMETERS:] += prior[NUM_POSE_PARAMETERS:] * np.concatenate(
        [pose.jaw, pose.expression], 1
    )
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


def _temporal_precision(stage: FitStage, num_parameters: int) -> NDArray[np.float64]:
    """Inverse variances of a parameter's change from frame to frame. [9 + E]"""
    near = np.empty(num_parameters)
    near[ROTATION_COLUMNS] = stage.weights.head_temporal
    near[TRANSLATION_COLUMNS] = stage.weights.head_temporal / HEAD_WIDTH_METERS**2
    near[JAW_COLUMNS] = stage.weights.face_temporal * JAW_PRECISION**2
    near[EXPRESSION_COLUMNS] = stage.weights.face_temporal
    return near


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
        Rotation.from_rotvec(step[:, ROTATION_COLUMNS]).as_matrix() @ pose.rotation,
        pose.translation + step[:, TRANSLATION_COLUMNS],
        pose.jaw + step[:, JAW_COLUMNS],
        pose.expression + step[:, EXPRESSION_COLUMNS],
    )
