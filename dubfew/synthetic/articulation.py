"""Mouth controls to the head model's jaw and expression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.motion.mouth_motion import CORNERS, INNER_PAIRS
from dubfew.reconstruction.heads.head_model import JAW, HeadModel
from dubfew.reconstruction.heads.landmark_indices import (
    CHEEKS,
    CHIN,
    INNER_LIPS,
    JAW_LINE,
    OUTER_LIPS,
)

FloatArray = NDArray[np.float32]

# How much of a lip's movement the points below it take part in: lip to chin.
_CHIN_SHARE = dict(zip(CHIN, (0.55, 0.15, 0.05, 0.0), strict=True))
# Weight of the priors' unit coefficients against errors in mm.
_RIDGE = 0.15
_STEPS = 3  # of correcting what the ridge and the jaw's rotation leave


class Articulator:
    """Turns controls into coefficients, for one identity.

    Controls are those of ``speech.visemes.CONTROLS``, in inter-ocular distances, measured from
    closed, relaxed lips: height of upper and lower inner lip, width, pursing, chin.
    """

    def __init__(self, head: HeadModel, shape: NDArray) -> None:
        self._head = head
        self._shape = shape
        self._unit = head.inter_ocular(shape)
        rest = head.shaped(shape)
        hinge = head.joint_regressor[JAW] @ rest
        self._upper = head.points(tuple(pair[0] for pair in INNER_PAIRS))
        self._lower = head.points(tuple(pair[1] for pair in INNER_PAIRS))
        self._corners = head.points(CORNERS)
        self._chin = head.points((152,))[0]
        self._front = head.points((0, 13, 14, 17))
        arm = (self._chin @ rest - hinge)[2] * float(self._chin @ head.skin_weights[:, JAW])
        self._jaw_per_chin = self._unit / float(arm)  # rad per inter-ocular distance
        self._fields = self._solve(rest)
        self._closed = self._closing(rest)
        still = np.zeros((1, 3), np.float32)
        self._rest = self._measure(head.vertices(shape, self._closed[None], still))[0]

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
        for step in range(_STEPS):
            expression = (self._closed + asked @ self._fields).astype(np.float32)
            if step < _STEPS - 1:
                shown = self._measure(self._head.vertices(self._shape, expression, jaw))
                asked += wanted[:, :4] - (shown - self._rest)
        return expression, jaw

    def _measure(self, vertices: NDArray) -> NDArray[np.float64]:
        """Upper, lower, width and purse of live vertices. [N, 4]"""
        corners = self._corners @ vertices
        return (
            np.stack(
                [
                    (self._upper @ vertices)[..., 1].mean(1),
                    (self._lower @ vertices)[..., 1].mean(1),
                    np.linalg.norm(corners[:, 0] - corners[:, 1], axis=-1),
                    (self._front @ vertices)[..., 2].mean(1),
                ],
                1,
            ).astype(np.float64)
            / self._unit
        )

    def _closing(self, rest: NDArray) -> FloatArray:
        """Expression that brings the lips of this identity together all along. [E]"""
        upper, lower = INNER_LIPS[1:10], INNER_LIPS[:10:-1]
        gap = (self._head.points(lower) - self._head.points(upper)) @ rest
        # A tenth of a millimetre of overlap: no light falls between closed lips.
        goal = (gap[:, 1:] - [1e-4, 0]) / 2
        matrix = np.concatenate([self._head.points(upper), self._head.points(lower)])
        target = np.concatenate([goal, -goal])
        count = self._head.mouth_expressions
        moved = np.einsum("pv,evd->epd", matrix, self._head.expression_basis[:count, :, 1:])
        moved = moved.reshape(count, -1).astype(np.float64)
        gram = moved @ moved.T + (0.02e-3) ** 2 * len(matrix) * np.eye(count)
        closed = np.zeros(len(self._head.expression_basis), np.float32)
        closed[:count] = np.linalg.solve(gram, moved @ target.ravel())
        return closed

    def _solve(self, rest: NDArray) -> NDArray[np.float64]:
        """Expression per unit of upper, lower, width and purse. [4, E]"""
        points = OUTER_LIPS + INNER_LIPS + JAW_LINE + CHIN + CHEEKS
        matrix = self._head.points(points)
        place = matrix @ rest
        half = float((self._corners @ rest)[1, 0])
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
            elif point in CHIN:
                target[1, row, 1] = _CHIN_SHARE[point]
                target[3, row, 2] = 0.5 * _CHIN_SHARE[point]
            elif point in CHEEKS:
                target[2, row, 0] = 0.15 * np.sign(place[row, 0])
        count = self._head.mouth_expressions
        moved = np.einsum("pv,evd->epd", matrix, self._head.expression_basis[:count])
        moved = (moved * weight[None, :, None]).reshape(count, -1).astype(np.float64)
        goal = (target * weight[None, :, None] * self._unit).reshape(4, -1)
        gram = moved @ moved.T
        gram += (_RIDGE * 1e-3) ** 2 * len(points) * np.eye(count)
        fields = np.zeros((4, len(self._head.expression_basis)))
        fields[:, :count] = np.linalg.solve(gram, moved @ goal.T).T
        return fields
