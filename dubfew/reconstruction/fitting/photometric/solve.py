"""One step of Gauss and Newton: many frames and what they share, or many frames in a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solveh_banded
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import JAW_PRECISION, Pose
from dubfew.reconstruction.fitting.photometric.stages import Stage

HEAD = 0.15  # m, about a face's width: brings metres to the size of radians
FIXED = 1e12  # precision of what a stage leaves alone


def _prior(stage: Stage, count: int) -> NDArray[np.float64]:
    """Inverse variances of a frame's parameters around zero; its pose is free. [9 + E]"""
    expression = np.full(count, stage.weights.expression)
    return np.concatenate([np.full(6, 1e-6), JAW_PRECISION**2, expression])


def _held(stage: Stage, size: int) -> NDArray[np.float64]:
    """FIXED where a stage leaves a parameter alone, 0 where it moves it."""
    held = np.zeros(size)
    for name, place in {
        "rotation": slice(0, 3), "translation": slice(3, 6), "jaw": slice(6, 9),
        "expression": slice(9, None),
    }.items():  # fmt: skip
        if name not in stage.moves:
            held[place] = FIXED
    return held


def solve_joint(
    stage: Stage,
    normals: NDArray,  # [K, D, D]
    slopes: NDArray,  # [K, D]
    value: NDArray,  # [K, 3 + E]
    common: NDArray,  # [S + 1]
) -> tuple[NDArray, NDArray]:
    """Step of K frames [K, 9 + E] and of what they share [S + 1]: frames are eliminated first."""
    frames, n = len(normals), 6 + value.shape[1]
    weights = stage.weights
    prior = _prior(stage, n - 9)
    # Frames of a clip are far from independent: their mean counts, not their sum.
    scale = 4.0 / frames
    pull = np.append(np.full(len(common) - 1, weights.shape), weights.focal)
    held = np.append(
        np.full(len(common) - 1, 0.0 if "shape" in stage.moves else FIXED),
        0.0 if "focal" in stage.moves else FIXED,
    )
    matrix = np.diag(pull + held) / scale
    vector = pull * common / scale
    kept = []
    for k in range(frames):
        own = normals[k, :n, :n] + np.diag(prior + _held(stage, n))
        own = own + stage.damping * np.diag(np.diag(own))
        slope = slopes[k, :n] + prior * np.concatenate([np.zeros(6), value[k]])
        factor = cho_factor(own)
        mixed = normals[k, :n, n:]
        solved = cho_solve(factor, np.column_stack([mixed, slope]))
        matrix = matrix + normals[k, n:, n:] - mixed.T @ solved[:, :-1]
        vector = vector + slopes[k, n:] - mixed.T @ solved[:, -1]
        kept.append(solved)
    matrix = matrix + stage.damping * np.diag(np.diag(matrix))
    clip = -np.linalg.solve(matrix, vector)
    return np.stack([-(s[:, -1] + s[:, :-1] @ clip) for s in kept]), clip


def solve_chain(
    stage: Stage,
    normals: NDArray,  # [N, D, D]
    slopes: NDArray,  # [N, D]
    pose: Pose,
    linked: NDArray[np.bool_],  # [N]
    before: Pose | None,
) -> NDArray[np.float64]:
    """Step of N frames in a row [N, D], each held near the one before it."""
    frames, n = slopes.shape
    prior = _prior(stage, n - 9)
    weights = stage.weights
    near = np.concatenate(
        [
            np.full(3, weights.still),
            np.full(3, weights.still / HEAD**2),
            weights.temporal * JAW_PRECISION**2,
            np.full(n - 9, weights.temporal),
        ]
    )
    matrix = normals + np.diag(prior + _held(stage, n))
    vector = slopes.copy()
    vector[:, 6:] += prior[6:] * np.concatenate([pose.jaw, pose.expression], 1)
    band = np.zeros((n + 1, frames * n))  # upper form: row n is the diagonal
    for k in range(frames):
        earlier = pose.select(slice(k - 1, k)) if k else before
        if linked[k] and earlier is not None:
            pull = near * _change(earlier, pose.select(slice(k, k + 1)))
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


def _change(earlier: Pose, later: Pose) -> NDArray[np.float64]:
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


def moved(pose: Pose, step: NDArray) -> Pose:
    """Parameters after a step [N, 9 + E]."""
    return Pose(
        Rotation.from_rotvec(step[:, :3]).as_matrix() @ pose.rotation,
        pose.translation + step[:, 3:6],
        pose.jaw + step[:, 6:9],
        pose.expression + step[:, 9:],
    )
