"""Points of a head model, posed by jaw and expression, with derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.heads.head_model import JAW_JOINT, HeadModel


@dataclass(frozen=True)
class PosedPoints:
    """Points of N frames.

    Attributes:
        points: in head space, m. [N, L, 3]
        jaw_arm: from the jaw's joint to each point, had it all of the jaw's rotation. [N, L, 3]
        jaw_rotation: the jaw's rotation. [N, 3, 3]
    """

    points: NDArray[np.float64]
    jaw_arm: NDArray[np.float64]
    jaw_rotation: NDArray[np.float64]


class PointRig:
    """Some points of a head model, posed by jaw and expression, with their derivatives.

    A point between vertices is skinned by the mean of their weights, which in FLAME puts it up to
    0.2 mm from where the skinned vertices have it.

    Args:
        head: the model.
        point_matrix: the points as a linear map of its vertices. [L, V]
    """

    def __init__(self, head: HeadModel, point_matrix: NDArray) -> None:
        used = np.nonzero(point_matrix.any(0))[0]
        point_matrix = point_matrix[:, used].astype(np.float64)

        def map_to_points(basis: NDArray) -> NDArray[np.float64]:
            """Of vertices [B, V, 3], of the points. [B, L, 3]"""
            return np.tensordot(basis[:, used], point_matrix, (1, 1)).transpose(0, 2, 1)

        self.template = point_matrix @ head.template[used]
        self.shape_basis = map_to_points(head.shape_basis)
        self.expression_basis = map_to_points(head.expression_basis)
        # The same as [L, 3, E], for one small matrix product per point.
        self._expression_by_point = self.expression_basis.transpose(1, 2, 0).astype(np.float32)
        self.jaw_weight = (point_matrix @ head.skin_weights[used, JAW_JOINT])[:, None]
        own = slice((JAW_JOINT - 1) * 9, JAW_JOINT * 9)
        correctives = None if head.pose_basis is None else map_to_points(head.pose_basis[own])
        self._pose_correctives = correctives
        regressor = head.joint_regressor[JAW_JOINT].astype(np.float64)
        self._jaw_joint = regressor @ head.template
        self._jaw_joint_shape_basis = np.tensordot(head.shape_basis, regressor, (1, 0))
        self._jaw_joint_expression_basis = (
            np.tensordot(head.expression_basis, regressor, (1, 0))
            if head.expression_moves_joints
            else None
        )

    def pose_points(self, shape: NDArray, jaw: NDArray, expression: NDArray) -> PosedPoints:
        """Points in head space for shape [S], jaw [N, 3] (rad) and expression [N, E]."""
        rest = self.template + np.tensordot(shape, self.shape_basis, 1)
        moved = rest + np.tensordot(expression, self.expression_basis, 1)
        turn = Rotation.from_rotvec(jaw).as_matrix()
        if self._pose_correctives is not None:
            moved = moved + np.tensordot(
                (turn - np.eye(3)).reshape(-1, 9), self._pose_correctives, 1
            )
        joint = self._jaw_joint + shape @ self._jaw_joint_shape_basis
        if self._jaw_joint_expression_basis is not None:
            joint = (joint + expression @ self._jaw_joint_expression_basis)[:, None]
        arm = np.einsum("nab,nlb->nla", turn, moved - joint)
        points = self.jaw_weight * (arm + joint) + (1 - self.jaw_weight) * moved
        return PosedPoints(points, arm, turn)

    def jacobian(self, posed: PosedPoints, by_point: NDArray) -> NDArray[np.float32]:
        """Chain rule from points to jaw and expression.

        Args:
            posed: where to differentiate.
            by_point: derivatives of some values by each point. [N, L, I, 3]

        Returns:
            Derivatives of those values by jaw, then expression. [N, L, I, 3 + E]
        """
        w = self.jaw_weight[..., None]
        # d (exp(a) p) / da = -[p]x, and u^T [p]x = (u x p)^T.
        jaw = -np.cross(by_point, posed.jaw_arm[:, :, None]) * w
        mixed = w * posed.jaw_rotation[:, None] + (1 - w) * np.eye(3)
        by_moved = by_point @ mixed
        if self._pose_correctives is not None:
            # d exp(a) R / da_k = [e_k]x R; its nine entries weigh the correctives.
            turning = np.cross(np.eye(3)[:, None], posed.jaw_rotation.transpose(0, 2, 1)[:, None])
            feature = turning.transpose(0, 1, 3, 2).reshape(-1, 3, 9)
            jaw = jaw + by_moved @ np.tensordot(feature, self._pose_correctives, 1).transpose(
                0, 2, 3, 1
            )
        expression = by_moved.astype(np.float32) @ self._expression_by_point
        if self._jaw_joint_expression_basis is not None:
            by_joint = (by_point @ (np.eye(3) - posed.jaw_rotation[:, None])) * w
            expression = expression + (by_joint @ self._jaw_joint_expression_basis.T).astype(
                np.float32
            )
        return np.concatenate([jaw.astype(np.float32), expression], -1)
