"""Gauss-Newton steps: of many frames with the parameters that they share, or of frames in a row.

Both systems are sparse. Frames that share parameters are eliminated one by one (Schur complement);
frames in a row make a band matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solveh_banded
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import JAW_PRECISION, FaceParameters
from dubfew.reconstruction.fitting.photometric.layout import (
    CLIP_PARAMETER_COLUMNS,
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

# Width of a head, m: it brings changes of translation to the size of rotations in rad.
HEAD_WIDTH_METERS = 0.15
# Precision of a parameter that a stage does not optimize: so large that its step is 0, so small
# that the matrix stays solvable.
FROZEN_PRECISION = 1e12
# Precision of a frame's free pose: it only keeps the matrix regular where no pixel is seen.
POSE_PRECISION = 1e-6
# Frames of a clip are far from independent, so what they share is weighed as if they were four.
EFFECTIVE_FRAMES = 4.0


def prior_precision(stage: FitStage, num_expressions: int) -> NDArray[np.float64]:
    """Inverse variances of a frame's parameters around zero; its pose is nearly free. [9 + E]"""
    expression = np.full(num_expressions, stage.weights.expression)
    return np.concatenate(
        [np.full(NUM_POSE_PARAMETERS, POSE_PRECISION), JAW_PRECISION**2, expression]
    )


def _frozen_precision(stage: FitStage, num_parameters: int) -> NDArray[np.float64]:
    """``FROZEN_PRECISION`` where a stage leaves a parameter alone, else 0. [9 + E]"""
    frozen = np.zeros(num_parameters)
    for name, columns in FRAME_PARAMETER_COLUMNS.items():
        if name not in stage.optimized_parameters:
            frozen[columns] = FROZEN_PRECISION
    return frozen


def _clip_precisions(stage: FitStage, num_parameters: int) -> tuple[NDArray, NDArray]:
    """Precisions of a clip's parameters: of the pull to zero, and of what is frozen. [S + 1]"""
    frozen = np.zeros(num_parameters)
    for name, columns in CLIP_PARAMETER_COLUMNS.items():
        if name not in stage.optimized_parameters:
            frozen[columns] = FROZEN_PRECISION
    return clip_pull(stage, num_parameters), frozen


def clip_pull(stage: FitStage, num_parameters: int) -> NDArray[np.float64]:
    """Inverse variances of a clip's parameters around zero. [S + 1]"""
    pull = np.empty(num_parameters)
    pull[SHAPE_COLUMNS], pull[LOG_FOCAL_COLUMN] = stage.weights.shape, stage.weights.focal
    return pull


def solve_joint_step(
    stage: FitStage,
    hessians: NDArray,  # [K, D, D]
    gradients: NDArray,  # [K, D]
    frame_values: NDArray,  # [K, 3 + E]
    clip_values: NDArray,  # [S + 1]
) -> tuple[NDArray, NDArray]:
    """Solve for the step of K frames and of the parameters that they share.

    Args:
        stage: weights, damping and what is optimized.
        hessians: J'WJ of each frame, its own parameters first, the shared ones last. [K, D, D]
        gradients: J'Wr of each frame. [K, D]
        frame_values: present jaw and expression of each frame, which the priors pull to 0.
            [K, 3 + E]
        clip_values: present shape, and change of the focal length's logarithm. [S + 1]

    Returns:
        Steps of the frames [K, 9 + E] and of the shared parameters [S + 1].
    """
    frames, n = len(hessians), NUM_POSE_PARAMETERS + frame_values.shape[1]
    prior = prior_precision(stage, n - NUM_RIGID_PARAMETERS)
    # The frames' mean counts, not their sum: the priors are divided instead of the data.
    scale = EFFECTIVE_FRAMES / frames
    pull, frozen = _clip_precisions(stage, len(clip_values))
    matrix = np.diag(pull + frozen) / scale
    vector = pull * clip_values / scale
    # Each frame's own step is a linear function of the shared one: put it into the shared
    # equations.
    eliminated = []
    for k in range(frames):
        own = hessians[k, :n, :n] + np.diag(prior + _frozen_precision(stage, n))
        own = own + stage.damping * np.diag(np.diag(own))
        gradient = gradients[k, :n] + prior * np.concatenate(
            [np.zeros(NUM_POSE_PARAMETERS), frame_values[k]]
        )
        factor = cho_factor(own)
        mixed = hessians[k, :n, n:]
        solved = cho_solve(factor, np.column_stack([mixed, gradient]))
        matrix = matrix + hessians[k, n:, n:] - mixed.T @ solved[:, :-1]
        vector = vector + gradients[k, n:] - mixed.T @ solved[:, -1]
        eliminated.append(solved)
    matrix = matrix + stage.damping * np.diag(np.diag(matrix))
    clip = -np.linalg.solve(matrix, vector)
    return np.stack([-(s[:, -1] + s[:, :-1] @ clip) for s in eliminated]), clip


def solve_chain_step(
    stage: FitStage,
    hessians: NDArray,  # [N, D, D]
    gradients: NDArray,  # [N, D]
    pose: FaceParameters,
    follows_previous: NDArray[np.bool_],  # [N]
    previous_pose: FaceParameters | None,
) -> NDArray[np.float64]:
    """Solve for the step of N frames in a row, each tied to the one before it.

    Args:
        stage: weights, damping and what is optimized.
        hessians: J'WJ of each frame. [N, D, D]
        gradients: J'Wr of each frame. [N, D]
        pose: present parameters of the frames.
        follows_previous: True where a frame is tied to the one before it. [N]
        previous_pose: final parameters of the frame before the first one, if there is one.

    Returns:
        Steps of the frames. [N, D]
    """
    frames, n = gradients.shape
    prior = prior_precision(stage, n - NUM_RIGID_PARAMETERS)
    near = temporal_precision(stage, n)
    matrix = hessians + np.diag(prior + _frozen_precision(stage, n))
    vector = gradients.copy()
    vector[:, NUM_POSE_PARAMETERS:] += prior[NUM_POSE_PARAMETERS:] * np.concatenate(
        [pose.jaw, pose.expression], 1
    )
    # Upper band form of scipy.linalg.solveh_banded: row n is the diagonal, row 0 the ties, which
    # are diagonal blocks beside it.
    band = np.zeros((n + 1, frames * n))
    for k in range(frames):
        earlier = pose.select(slice(k - 1, k)) if k else previous_pose
        # A tie adds its precision to both frames; the frame before the first one does not move.
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
        # Blocks on the diagonal are full matrices, stored diagonal by diagonal.
        for offset in range(n):
            band[n - offset, k * n + offset : (k + 1) * n] = np.diagonal(matrix[k], offset)
    return -solveh_banded(band, vector.ravel(), check_finite=False).reshape(frames, n)


def temporal_precision(stage: FitStage, num_parameters: int) -> NDArray[np.float64]:
    """Inverse variances of a parameter's change from frame to frame. [9 + E]"""
    near = np.empty(num_parameters)
    near[ROTATION_COLUMNS] = stage.weights.head_temporal
    near[TRANSLATION_COLUMNS] = stage.weights.head_temporal / HEAD_WIDTH_METERS**2
    near[JAW_COLUMNS] = stage.weights.face_temporal * JAW_PRECISION**2
    near[EXPRESSION_COLUMNS] = stage.weights.face_temporal
    return near


def _pose_difference(earlier: FaceParameters, later: FaceParameters) -> NDArray[np.float64]:
    """Parameters of one frame minus those of the one before it. [9 + E]"""
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
    """Apply a step to the parameters of N frames.

    Args:
        pose: present parameters.
        step: step of every parameter; rotations are multiplied from the left. [N, 9 + E]
    """
    return FaceParameters(
        Rotation.from_rotvec(step[:, ROTATION_COLUMNS]).as_matrix() @ pose.rotation,
        pose.translation + step[:, TRANSLATION_COLUMNS],
        pose.jaw + step[:, JAW_COLUMNS],
        pose.expression + step[:, EXPRESSION_COLUMNS],
    )
