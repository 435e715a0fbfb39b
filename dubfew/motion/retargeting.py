"""Retargeting: from `MouthMotion` to a head model's own jaw and expression, by least squares."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ShapeError
from dubfew.motion.extraction import BONE_POINTS, estimate_rest_points, mouth_points_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.fitting.landmark_fit import JAW_PRECISION, limit_blas_threads
from dubfew.reconstruction.fitting.point_rig import PointRig
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, MOUTH_POINTS, OUTER_LIPS
from dubfew.reconstruction.track import Track

# Inverse standard deviations of the points' errors, 1 / inter-ocular distance: lips should be met
# within one hundredth, the rest of the lower face within three. Larger values let the fit bend
# jaw and expression further from their means.
LIP_POINT_PRECISION, FACE_POINT_PRECISION = 1 / 0.01, 1 / 0.03
# Face-mesh points that hold the upper face still: forehead, temples, bridge and base of the nose,
# around the eyes, cheekbones.
UPPER_FACE_POINTS = (*BONE_POINTS, 4, 2, 98, 327, 50, 280, 117, 346)
# Steps of the solver. The problem is nearly linear, so few are needed.
GAUSS_NEWTON_STEPS = 4
# Frames that are solved at once, which bounds memory.
SOLVE_BLOCK_FRAMES = 256


def retarget_mouth(track: Track, head: HeadModel, motion: MouthMotion) -> Track:
    """Give a tracked clip another mouth motion.

    Jaw and the lower face's expression are solved for. Head pose and upper face stay (nearly, for
    heads without expressions of the lower face alone).

    Args:
        track: the scene.
        head: the head model that ``track.head`` names.
        motion: displacements from the person's closed rest pose, one row per frame.

    Returns:
        The track with new ``jaw`` and ``expression``.

    Raises:
        ShapeError: The motion does not have one row per frame.
        NoFaceError: No frame of the track is valid.
    """
    if len(motion) != len(track):
        raise ShapeError(f"{len(motion)} rows of mouth motion for {len(track)} frames")
    points = mouth_points_from_track(track, head)
    rest = estimate_rest_points(points[track.usable if track.usable.any() else track.valid])
    jaw, expression = solve_mouth(head, track.shape, track.jaw, track.expression, rest, motion)
    return dataclasses.replace(
        track, jaw=jaw.astype(np.float32), expression=expression.astype(np.float32)
    )


def solve_mouth(
    head: HeadModel,
    shape: NDArray,  # [S]
    jaw: NDArray,  # [N, 3]
    expression: NDArray,  # [N, E]
    rest: NDArray,  # [P, 3]
    motion: MouthMotion,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # [N, 3], [N, E]
    """Solve for the jaw and the lower face's expression that make a mouth motion.

    Args:
        head: head model.
        shape: identity coefficients. [S]
        jaw: jaw rotations with which the upper face is held, axis-angle, rad. [N, 3]
        expression: expressions with which it is held; those beyond the lower face stay. [N, E]
        rest: the person's closed, relaxed mouth points, in inter-ocular distances. [P, 3]
        motion: displacements from there, one row per frame.

    Returns:
        Jaw rotations and expressions.
    """
    unit = head.inter_ocular_distance(shape)
    rig, upper_rig = PointRig(head, head.point_matrix(MOUTH_POINTS)), None
    weights = np.where(
        np.isin(MOUTH_POINTS, OUTER_LIPS + INNER_LIPS), LIP_POINT_PRECISION, FACE_POINT_PRECISION
    )
    if head.mouth_expressions == len(head.expression_basis):
        # Every expression of this head moves the whole face, so points of the upper face are
        # added that should stay where they are.
        upper_rig = PointRig(head, head.point_matrix(UPPER_FACE_POINTS))
        rig = PointRig(head, head.point_matrix(MOUTH_POINTS + UPPER_FACE_POINTS))
        weights = np.append(weights, np.full(len(UPPER_FACE_POINTS), LIP_POINT_PRECISION))
    jaws, expressions = [], []
    with limit_blas_threads():
        for i in range(0, len(motion), SOLVE_BLOCK_FRAMES):
            rows = slice(i, i + SOLVE_BLOCK_FRAMES)
            # Target positions: the person's own rest pose plus the displacements, in m.
            goal = (rest + motion.displacement[rows]) * unit
            if upper_rig is not None:
                kept = upper_rig.pose_points(shape, jaw[rows], expression[rows]).points
                goal = np.concatenate([goal, kept], 1)
            solved_jaw, solved_expression = _solve_jaw_and_expression(
                rig,
                shape,
                expression[rows].astype(np.float64),
                goal,
                weights / unit,
                head.mouth_expressions,
            )
            jaws.append(solved_jaw)
            expressions.append(solved_expression)
    return np.concatenate(jaws), np.concatenate(expressions)


def pose_mouth(
    head: HeadModel,
    shape: NDArray,  # [S]
    jaw: NDArray,  # [N, 3]
    expression: NDArray,  # [N, K]
) -> NDArray[np.float64]:  # [N, P, 3]
    """Compute mouth points from jaw and expression, in inter-ocular distances.

    Args:
        head: head model.
        shape: identity coefficients. [S]
        jaw: jaw rotations, axis-angle, rad. [N, 3]
        expression: expression coefficients; those that are left out at the end are 0. [N, K]
    """
    full = np.zeros((len(expression), len(head.expression_basis)))
    full[:, : expression.shape[1]] = expression
    rig = PointRig(head, head.point_matrix(MOUTH_POINTS))
    return rig.pose_points(shape, jaw, full).points / head.inter_ocular_distance(shape)


def _solve_jaw_and_expression(
    rig: PointRig,
    shape: NDArray,
    expression: NDArray,
    target_points: NDArray,
    weights: NDArray,
    num_free: int,
) -> tuple[NDArray, NDArray]:
    """Solve for jaw and the first ``num_free`` expressions of a block of frames (Gauss-Newton)."""
    # Start at rest; the coefficients beyond ``num_free`` keep the scene's values.
    expression = expression.copy()
    expression[:, :num_free] = 0
    jaw = np.zeros((len(target_points), 3))
    # The prior draws jaw and expression to their means.
    prior = np.concatenate([JAW_PRECISION, np.ones(num_free)])
    slope = (
        np.broadcast_to(np.eye(3), (len(target_points), target_points.shape[1], 3, 3))
        * weights[:, None, None]
    )
    for _ in range(GAUSS_NEWTON_STEPS):
        posed = rig.pose_points(shape, jaw, expression)
        residual = ((posed.points - target_points) * weights[:, None]).reshape(
            len(target_points), -1
        )
        jacobian = rig.jacobian(posed, slope)[..., : 3 + num_free].reshape(*residual.shape, -1)
        transposed = jacobian.transpose(0, 2, 1).astype(np.float64)
        value = np.concatenate([jaw, expression[:, :num_free]], 1)
        # Normal equations of the linearized problem, for all frames at once.
        normal = transposed @ jacobian + np.diag(prior**2)
        gradient = (transposed @ residual[..., None])[..., 0] + prior**2 * value
        step = np.linalg.solve(normal, gradient[..., None])[..., 0]
        jaw = jaw - step[:, :3]
        expression[:, :num_free] -= step[:, 3:]
    return jaw, expression
