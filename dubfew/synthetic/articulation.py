"""From the five controls of a mouth to the head model's jaw rotation and expression.

The chin's height decides the jaw rotation. The other four controls are least-squares fields: each
unit of control has target displacements of lips, chin and cheeks, and the expression is solved that
comes nearest to them. Two rounds of measuring the result and correcting the controls take out what
the regularization and the jaw's rotation have left over.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MOUTH_CORNERS
from dubfew.reconstruction.heads.head_model import JAW_JOINT, HeadModel
from dubfew.reconstruction.heads.landmark_indices import (
    CHEEK_LANDMARKS,
    CHIN_LANDMARKS,
    INNER_LIPS,
    JAW_LINE,
    OUTER_LIPS,
)
from dubfew.utils.arrays import FloatArray

# Part of the lower lip's movement that each chin landmark takes part in, from the lip downwards.
_CHIN_SHARE = dict(zip(CHIN_LANDMARKS, (0.55, 0.15, 0.05, 0.0), strict=True))
# Error (mm) of one point that counts as much as a unit coefficient. Larger ones give smoother faces
# that miss the controls, smaller ones grimaces.
_EXPRESSION_RIDGE_MILLIMETERS = 0.15
# The same for closing the lips, which must be exact, m.
_CLOSURE_RIDGE_METERS = 0.02e-3
# Rounds: the first solves, the others correct what the ridge and the jaw's rotation leave over.
_NUM_CORRECTION_STEPS = 3
# Part of the chin's movement that the lower lip has from riding on the jaw.
_LIP_ON_JAW = 0.9
# Overlap of closed lips, m: no light falls between them.
_LIP_OVERLAP_METERS = 1e-4
# Weight of a lip landmark in the targets; those of chin, cheeks and jaw line have 1.
_LIP_WEIGHT = 3.0


class MouthArticulator:
    """Turns mouth controls into coefficients, for one identity.

    Controls are those of ``speech.visemes.MOUTH_CONTROLS``, in inter-ocular distances, measured
    from closed, relaxed lips: height of upper and lower inner lip, width, pursing, chin.

    Args:
        head: head model.
        shape: identity coefficients. [S]
    """

    def __init__(self, head: HeadModel, shape: NDArray) -> None:
        self._head = head
        self._shape = shape
        self._inter_ocular = head.inter_ocular_distance(shape)
        rest = head.rest_vertices(shape)
        hinge = head.joint_regressor[JAW_JOINT] @ rest
        self._upper_lip_matrix = head.point_matrix(tuple(pair[0] for pair in INNER_LIP_PAIRS))
        self._lower_lip_matrix = head.point_matrix(tuple(pair[1] for pair in INNER_LIP_PAIRS))
        self._corner_matrix = head.point_matrix(MOUTH_CORNERS)
        self._chin_weights = head.point_matrix((152,))[0]
        self._front_lip_matrix = head.point_matrix((0, 13, 14, 17))
        # A chin at this distance before the hinge goes down by arm times the jaw's pitch.
        arm = (self._chin_weights @ rest - hinge)[2] * float(
            self._chin_weights @ head.skin_weights[:, JAW_JOINT]
        )
        # rad of pitch per inter-ocular distance of the chin.
        self._jaw_per_chin = self._inter_ocular / float(arm)
        self._control_expressions = self._solve_controls(rest)
        self._closed_expression = self._solve_lip_closure(rest)
        still = np.zeros((1, 3), np.float32)
        self._rest_measures = self._measure_mouth(
            head.vertices(shape, self._closed_expression[None], still)
        )[0]

    def __call__(self, controls: NDArray) -> tuple[FloatArray, FloatArray]:
        """Compute the coefficients that show some controls.

        Args:
            controls: upper, lower, width, purse and chin of N frames. [N, 5]

        Returns:
            Expression [N, E] and jaw rotation, axis-angle, rad [N, 3].
        """
        goal = np.asarray(controls, np.float64)
        jaw = np.zeros((len(goal), 3), np.float32)
        jaw[:, 0] = -goal[:, 4] * self._jaw_per_chin
        # Controls as given to the linear solution; they are corrected by what it shows.
        applied = goal[:, :4].copy()
        applied[:, 1] -= _LIP_ON_JAW * goal[:, 4]
        for step in range(_NUM_CORRECTION_STEPS):
            expression = (self._closed_expression + applied @ self._control_expressions).astype(
                np.float32
            )
            if step < _NUM_CORRECTION_STEPS - 1:
                shown = self._measure_mouth(self._head.vertices(self._shape, expression, jaw))
                applied += goal[:, :4] - (shown - self._rest_measures)
        return expression, jaw

    def _measure_mouth(self, vertices: NDArray) -> NDArray[np.float64]:
        """Upper, lower, width and purse of live vertices, in inter-ocular distances. [N, 4]"""
        corners = self._corner_matrix @ vertices
        return (
            np.stack(
                [
                    (self._upper_lip_matrix @ vertices)[..., 1].mean(1),
                    (self._lower_lip_matrix @ vertices)[..., 1].mean(1),
                    np.linalg.norm(corners[:, 0] - corners[:, 1], axis=-1),
                    (self._front_lip_matrix @ vertices)[..., 2].mean(1),
                ],
                1,
            ).astype(np.float64)
            / self._inter_ocular
        )

    def _solve_lip_closure(self, rest_vertices: NDArray) -> FloatArray:
        """Expression that brings the lips of this identity together all along. [E]

        Identity coefficients alone leave lips open here and crossed there. Upper and lower lip meet
        half way, in height and depth; ridge regression.
        """
        upper, lower = INNER_LIPS[1:10], INNER_LIPS[:10:-1]
        gap = (self._head.point_matrix(lower) - self._head.point_matrix(upper)) @ rest_vertices
        goal = (gap[:, 1:] - [_LIP_OVERLAP_METERS, 0]) / 2
        matrix = np.concatenate([self._head.point_matrix(upper), self._head.point_matrix(lower)])
        target = np.concatenate([goal, -goal])
        count = self._head.mouth_expressions
        moved = np.einsum("pv,evd->epd", matrix, self._head.expression_basis[:count, :, 1:])
        moved = moved.reshape(count, -1).astype(np.float64)
        gram = moved @ moved.T + _CLOSURE_RIDGE_METERS**2 * len(matrix) * np.eye(count)
        closed = np.zeros(len(self._head.expression_basis), np.float32)
        closed[:count] = np.linalg.solve(gram, moved @ target.ravel())
        return closed

    def _solve_controls(self, rest_vertices: NDArray) -> NDArray[np.float64]:
        """Expression per unit of upper, lower, width and purse. [4, E]

        Ridge regression of target displacements on the expression basis.
        """
        points = OUTER_LIPS + INNER_LIPS + JAW_LINE + CHIN_LANDMARKS + CHEEK_LANDMARKS
        matrix = self._head.point_matrix(points)
        place = matrix @ rest_vertices
        # Position along the mouth: 0 in its middle, 1 at its corners. Openings are arches over it.
        half = float((self._corner_matrix @ rest_vertices)[1, 0])
        along = np.clip(np.abs(place[:, 0]) / half, 0, 1)
        arch = 1 - along**2
        target = np.zeros((4, len(points), 3))
        weight = np.ones(len(points))
        # Displacements [control, landmark, axis], in inter-ocular distances per unit of control.
        # Landmarks without a line here are to stay where they are.
        for row, point in enumerate(points):
            if point in OUTER_LIPS or point in INNER_LIPS:
                ring = OUTER_LIPS if point in OUTER_LIPS else INNER_LIPS
                position, inner = ring.index(point), ring is INNER_LIPS
                weight[row] = _LIP_WEIGHT
                share = (1.0 if inner else 0.85) * arch[row]
                target[0, row, 1] = share if position < 10 else 0.0
                target[1, row, 1] = share if position > 10 else 0.0
                # Both corners move by half of the width.
                target[2, row, 0] = 0.5 * place[row, 0] / half
                # Spread lips are thin, pursed lips thick.
                target[2, row, 1] = 0.0 if inner else (-0.15 if position < 10 else 0.15) * arch[row]
                # Pursed lips come forward, most in the middle, and get narrower.
                target[3, row, 2] = 1.0 - 0.55 * along[row]
                target[3, row, 0] = -0.25 * place[row, 0] / half
            elif point in CHIN_LANDMARKS:
                target[1, row, 1] = _CHIN_SHARE[point]
                target[3, row, 2] = 0.5 * _CHIN_SHARE[point]
            elif point in CHEEK_LANDMARKS:
                target[2, row, 0] = 0.15 * np.sign(place[row, 0])
        count = self._head.mouth_expressions
        moved = np.einsum("pv,evd->epd", matrix, self._head.expression_basis[:count])
        moved = (moved * weight[None, :, None]).reshape(count, -1).astype(np.float64)
        goal = (target * weight[None, :, None] * self._inter_ocular).reshape(4, -1)
        gram = moved @ moved.T
        gram += (_EXPRESSION_RIDGE_MILLIMETERS * 1e-3) ** 2 * len(points) * np.eye(count)
        fields = np.zeros((4, len(self._head.expression_basis)))
        fields[:, :count] = np.linalg.solve(gram, moved @ goal.T).T
        return fields
