"""Mouth controls to the head model's jaw and expression."""

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

# How much of a lip's movement the points below it take part in: lip to chin.
_CHIN_SHARE = dict(zip(CHIN_LANDMARKS, (0.55, 0.15, 0.05, 0.0), strict=True))
# Weight of the priors' unit coefficients against errors in mm.
_EXPRESSION_RIDGE_MILLIMETERS = 0.15
_NUM_CORRECTION_STEPS = 3  # of correcting what the ridge and the jaw's rotation leave


class MouthArticulator:
    """Turns controls into coefficients, for one identity.

    Controls are those of ``speech.visemes.CONTROLS``, in inter-ocular distances, measured from
    closed, relaxed lips: height of upper and lower inner lip, width, pursing, chin.
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
        arm = (self._chin_weights @ rest - hinge)[2] * float(
            self._chin_weights @ head.skin_weights[:, JAW_JOINT]
        )
        self._jaw_per_chin = self._inter_ocular / float(arm)  # rad per inter-ocular distance
        self._control_expressions = self._solve_controls(rest)
        self._closed_expression = self._solve_lip_closure(rest)
        still = np.zeros((1, 3), np.float32)
        self._rest_measures = self._measure_mouth(
            head.vertices(shape, self._closed_expression[None], still)
        )[0]

    def __call__(self, controls: NDArray) -> tuple[FloatArray, FloatArray]:
        """Coefficients that show the controls [N, 5].

        Returns:
            Expression [N, E] and jaw rotation [N, 3].
        """
        wanted = np.asarray(controls, np.float64)
        jaw = np.zeros((len(wanted), 3), np.float32)
        jaw[:, 0] = -wanted[:, 4] * self._jaw_per_chin
        asked = wanted[:, :4].copy()
        asked[:, 1] -= 0.9 * wanted[:, 4]  # the lower lip rides on the jaw
        for step in range(_NUM_CORRECTION_STEPS):
            expression = (self._closed_expression + asked @ self._control_expressions).astype(
                np.float32
            )
            if step < _NUM_CORRECTION_STEPS - 1:
                shown = self._measure_mouth(self._head.vertices(self._shape, expression, jaw))
                asked += wanted[:, :4] - (shown - self._rest_measures)
        return expression, jaw

    def _measure_mouth(self, vertices: NDArray) -> NDArray[np.float64]:
        """Upper, lower, width and purse of live vertices. [N, 4]"""
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
        """Expression that brings the lips of this identity together all along. [E]"""
        upper, lower = INNER_LIPS[1:10], INNER_LIPS[:10:-1]
        gap = (self._head.point_matrix(lower) - self._head.point_matrix(upper)) @ rest_vertices
        # A tenth of a millimetre of overlap: no light falls between closed lips.
        goal = (gap[:, 1:] - [1e-4, 0]) / 2
        matrix = np.concatenate([self._head.point_matrix(upper), self._head.point_matrix(lower)])
        target = np.concatenate([goal, -goal])
        count = self._head.mouth_expressions
        moved = np.einsum("pv,evd->epd", matrix, self._head.expression_basis[:count, :, 1:])
        moved = moved.reshape(count, -1).astype(np.float64)
        gram = moved @ moved.T + (0.02e-3) ** 2 * len(matrix) * np.eye(count)
        closed = np.zeros(len(self._head.expression_basis), np.float32)
        closed[:count] = np.linalg.solve(gram, moved @ target.ravel())
        return closed

    def _solve_controls(self, rest_vertices: NDArray) -> NDArray[np.float64]:
        """Expression per unit of upper, lower, width and purse. [4, E]"""
        points = OUTER_LIPS + INNER_LIPS + JAW_LINE + CHIN_LANDMARKS + CHEEK_LANDMARKS
        matrix = self._head.point_matrix(points)
        place = matrix @ rest_vertices
        half = float((self._corner_matrix @ rest_vertices)[1, 0])
        along = np.clip(np.abs(place[:, 0]) / half, 0, 1)
        arch = 1 - along**2
        target = np.zeros((4, len(points), 3))
        weight = np.ones(len(points))
        for row, point in enumerate(points):
            if point in OUTER_LIPS or point in INNER_LIPS:
                ring = OUTER_LIPS if point in OUTER_LIPS else INNER_LIPS
                position, inner = ring.index(point), ring is INNER_LIPS
                weight[row] = 3.0
                share = (1.0 if inner else 0.85) * arch[row]
                target[0, row, 1] = share if position < 10 else 0.0
                target[1, row, 1] = share if position > 10 else 0.0
                target[2, row, 0] = 0.5 * place[row, 0] / half
                # Spread lips are thin, pursed lips thick.
                target[2, row, 1] = 0.0 if inner else (-0.15 if position < 10 else 0.15) * arch[row]
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
