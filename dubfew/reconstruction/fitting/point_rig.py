"""Some points of a head model, posed by jaw and expression, with derivatives in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.rig_kernel import fill_jacobian
from dubfew.reconstruction.heads.head_model import JAW_JOINT, HeadModel


@dataclass(frozen=True)
class PosedPoints:
    """Posed points of N frames.

    Attributes:
        points: positions in head space, m. [N, L, 3]
        jaw_arm: vector from the jaw's joint to each point, if the point followed the jaw
            completely, m. [N, L, 3]
        jaw_rotation: rotation of the jaw. [N, 3, 3]
    """

    points: NDArray[np.float64]
    jaw_arm: NDArray[np.float64]
    jaw_rotation: NDArray[np.float64]


class PointRig:
    """Pose some points of a head model, such as landmarks, without posing all vertices.

    A point between vertices is skinned with the mean of their weights. In FLAME this puts it up to
    0.2 mm away from the position between the skinned vertices.

    Args:
        head: head model.
        point_matrix: the points as a linear map of its vertices. [L, V]
    """

    def __init__(self, head: HeadModel, point_matrix: NDArray) -> None:
        # Only the vertices that carry a point are needed.
        used = np.nonzero(point_matrix.any(0))[0]
        point_matrix = point_matrix[:, used].astype(np.float64)

        def map_to_points(basis: NDArray) -> NDArray[np.float64]:
            """Convert a basis of vertices [B, V, 3] to one of points. [B, L, 3]"""
            return np.tensordot(basis[:, used], point_matrix, (1, 1)).transpose(0, 2, 1)

        self.template = point_matrix @ head.template[used]
        self.shape_basis = map_to_points(head.shape_basis)
        self.expression_basis = map_to_points(head.expression_basis)
        # Copied as [L, 3, E], which allows one small matrix product per point.
        self._expression_by_point = self.expression_basis.transpose(1, 2, 0).astype(
            np.float32, order="C"
        )
        self.jaw_weight = (point_matrix @ head.skin_weights[used, JAW_JOINT])[:, None]
        # Pose correctives of the jaw: nine per joint, the root has none.
        jaw_rows = slice((JAW_JOINT - 1) * 9, JAW_JOINT * 9)
        correctives = None if head.pose_basis is None else map_to_points(head.pose_basis[jaw_rows])
        self._pose_correctives = correctives
        # The jaw's joint depends linearly on shape, and in FLAME on expression.
        regressor = head.joint_regressor[JAW_JOINT].astype(np.float64)
        self._jaw_joint = regressor @ head.template
        self._jaw_joint_shape_basis = np.tensordot(head.shape_basis, regressor, (1, 0))
        self._jaw_joint_expression_basis = (
            np.tensordot(head.expression_basis, regressor, (1, 0))
            if head.expression_moves_joints
            else None
        )

    def pose_points(self, shape: NDArray, jaw: NDArray, expression: NDArray) -> PosedPoints:
        """Pose the points in head space.

        Args:
            shape: identity coefficients. [S]
            jaw: jaw rotations, axis-angle, rad. [N, 3]
            expression: expression coefficients. [N, E]
        """
        # Displacements by shape and expression, then the correctives of the jaw's rotation.
        rest = self.template + np.tensordot(shape, self.shape_basis, 1)
        moved = rest + np.tensordot(expression, self.expression_basis, 1)
        jaw_rotation = Rotation.from_rotvec(jaw).as_matrix()
        if self._pose_correctives is not None:
            moved = moved + np.tensordot(
                (jaw_rotation - np.eye(3)).reshape(-1, 9), self._pose_correctives, 1
            )
        joint = self._jaw_joint + shape @ self._jaw_joint_shape_basis
        if self._jaw_joint_expression_basis is not None:
            joint = (joint + expression @ self._jaw_joint_expression_basis)[:, None]
        # Linear blend skinning with two bones: the jaw, and the head that holds still.
        arm = multiply_by_frame(moved - joint, jaw_rotation.transpose(0, 2, 1))
        points = self.jaw_weight * (arm + joint) + (1 - self.jaw_weight) * moved
        return PosedPoints(points, arm, jaw_rotation)

    def fill_jacobian(
        self, jacobian: NDArray[np.float32], first: int, posed: PosedPoints, by_point: NDArray
    ) -> None:
        """Apply the chain rule from points to jaw and expression.

        Args:
            jacobian: its columns from ``first`` on receive the derivatives of I values per point by
                jaw (rad), then expression. [N, L, I, first + 3 + E]
            first: first column to fill.
            posed: pose at which to differentiate.
            by_point: derivatives of the values by the point's position. [N, L, I, 3]
        """
        fill_jacobian(
            jacobian,
            first,
            by_point,
            posed.jaw_arm,
            posed.jaw_rotation,
            self.jaw_weight[:, 0],
            self._expression_by_point,
        )
        w = self.jaw_weight[..., None]
        if self._pose_correctives is not None or self._jaw_joint_expression_basis is not None:
            by_arm = multiply_by_frame(by_point, posed.jaw_rotation)
        if self._pose_correctives is not None:
            by_moved = w * by_arm + (1 - w) * by_point
            # d exp(a) R / da_k = [e_k]x R; its nine entries weight the correctives.
            by_jaw = np.cross(np.eye(3)[:, None], posed.jaw_rotation.transpose(0, 2, 1)[:, None])
            feature = by_jaw.transpose(0, 1, 3, 2).reshape(-1, 3, 9)
            moved = np.tensordot(feature, self._pose_correctives, 1).transpose(0, 2, 3, 1)
            jacobian[..., first : first + 3] += by_moved @ moved
        if self._jaw_joint_expression_basis is not None:
            # Expression moves the joint as well, and with it the center of the jaw's rotation.
            by_joint = (by_point - by_arm) * w
            jacobian[..., first + 3 :] += by_joint @ self._jaw_joint_expression_basis.T

    def jacobian(self, posed: PosedPoints, by_point: NDArray) -> NDArray[np.float32]:
        """Apply the chain rule as `fill_jacobian` does, to an array of its own.

        Args:
            posed: pose at which to differentiate.
            by_point: derivatives of I values per point by the point's position. [N, L, I, 3]

        Returns:
            Derivatives of these values by jaw (rad), then expression. [N, L, I, 3 + E]
        """
        columns = 3 + len(self.expression_basis)
        result = np.empty((*by_point.shape[:-1], columns), np.float32)
        self.fill_jacobian(result, 0, posed, by_point)
        return result


def multiply_by_frame(vectors: NDArray, matrices: NDArray) -> NDArray[np.float64]:
    """Multiply all row vectors of a frame by the frame's matrix, as one product.

    Args:
        vectors: any number of vectors for each frame. [N, ..., 3]
        matrices: one for each frame. [N, 3, 3]

    Returns:
        Vectors of the same shape.
    """
    flat = vectors.reshape(len(vectors), -1, 3) @ matrices
    return flat.reshape(vectors.shape)


def cross_product(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Compute cross products of vectors [..., 3]; several times as fast as NumPy's."""
    a, b = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
    return np.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], -1
    )
