"""MouthMotion -> a head model's own jaw and expression, by least squares."""

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

# Inverse standard deviations, 1 / inter-ocular distance: lips are to be met within a hundredth,
# the rest of the lower face within three.
LIP_POINT_PRECISION, FACE_POINT_PRECISION = 1 / 0.01, 1 / 0.03
# Of the upper face: forehead, temples, bridge and base of the nose, around the eyes, cheekbones.
UPPER_FACE_POINTS = (*BONE_POINTS, 4, 2, 98, 327, 50, 280, 117, 346)
GAUSS_NEWTON_STEPS = 4
SOLVE_BLOCK_FRAMES = 256


def retarget_mouth(track: Track, head: HeadModel, motion: MouthMotion) -> Track:
    """The same clip with another mouth motion.

    Jaw and the lower face's expression are solved for; head pose and the upper face stay (nearly,
    where the head has no expressions of the lower face alone).

    Args:
        track: the scene.
        head: the model that ``track.head`` names.
        motion: wanted displacements from the person's closed rest pose, one row per frame.

    Returns:
        The track with new ``jaw`` and ``expression``.

    Raises:
        ShapeError: not one row of motion per frame.
    """
    if len(motion) != len(track):
        raise ShapeError(f"{len(motion)} rows of mouth motion for {len(track)} frames")
    points = mouth_points_from_track(track, head)
    rest = estimate_rest_points(points[track.usable if track.usable.any() else track.valid])
    unit = head.inter_ocular_distance(track.shape)
    goal = (rest + motion.displacement) * unit
    rig = PointRig(head, head.point_matrix(MOUTH_POINTS))
    weights = np.where(
        np.isin(MOUTH_POINTS, OUTER_LIPS + INNER_LIPS), LIP_POINT_PRECISION, FACE_POINT_PRECISION
    )
    if head.mouth_expressions == len(head.expression_basis):
        # Every expression moves the whole face: what is not the mouth's has to be held.
        held = PointRig(head, head.point_matrix(UPPER_FACE_POINTS))
        kept = held.pose_points(track.shape, track.jaw, track.expression).points
        goal = np.concatenate([goal, kept], 1)
        rig = PointRig(head, head.point_matrix(MOUTH_POINTS + UPPER_FACE_POINTS))
        weights = np.append(weights, np.full(len(UPPER_FACE_POINTS), LIP_POINT_PRECISION))
    jaws, expressions = [], []
    with limit_blas_threads():
        for i in range(0, len(track), SOLVE_BLOCK_FRAMES):
            rows = slice(i, i + SOLVE_BLOCK_FRAMES)
            jaw, expression = _solve_jaw_and_expression(
                rig,
                track.shape,
                track.expression[rows].astype(np.float64),
                goal[rows],
                weights / unit,
                head.mouth_expressions,
            )
            jaws.append(jaw)
            expressions.append(expression)
    return dataclasses.replace(
        track,
        jaw=np.concatenate(jaws).astype(np.float32),
        expression=np.concatenate(expressions).astype(np.float32),
    )


def _solve_jaw_and_expression(
    rig: PointRig,
    shape: NDArray,
    expression: NDArray,
    target_points: NDArray,
    weights: NDArray,
    num_free: int,
) -> tuple[NDArray, NDArray]:
    """Gauss-Newton on jaw and the first ``num_free`` coefficients of a block of frames."""
    expression = expression.copy()
    expression[:, :num_free] = 0
    jaw = np.zeros((len(target_points), 3))
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
        normal = transposed @ jacobian + np.diag(prior**2)
        gradient = (transposed @ residual[..., None])[..., 0] + prior**2 * value
        step = np.linalg.solve(normal, gradient[..., None])[..., 0]
        jaw = jaw - step[:, :3]
        expression[:, :num_free] -= step[:, 3:]
    return jaw, expression
