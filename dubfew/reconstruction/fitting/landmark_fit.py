"""Landmarks -> head-model parameters, by batched Gauss-Newton.

The unknowns of a frame are head rotation and translation, jaw rotation and expression; of a
clip, identity shape. Residuals are landmark distances in the image over the size of the face
in the image, plus zero-mean priors on the coefficients. Source: paper 003, sec. 3.1 and A.1,
landmark term and regulariser of eq. 3 (the photometric term is another method).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from dubfew.reconstruction.heads.head_model import JAW, HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.track import Camera

# Camera space is OpenCV's, head space has y up and z towards the camera.
FLIP = np.diag([1.0, -1.0, -1.0])
# A residual of 1 is one face width; these are the inverse standard deviations that the
# residuals and the coefficients are measured in.
LANDMARK_PRECISION = 1 / 0.004
LIP_PRECISION = 1 / 0.002
EXPRESSION_PRECISION = 1.0
SHAPE_PRECISION = 1.0
# rad: speech opens the jaw by pitch; yaw and roll stay small.
JAW_PRECISION = np.array([1 / 0.15, 1 / 0.03, 1 / 0.02])
SHAPE_FRAMES = 24
BLOCK = 64  # frames whose Jacobians are held at once: 64 x 936 x 60 floats, 14 MB


def one_thread() -> threadpool_limits:
    """One BLAS thread inside the block: thousands of small products run 100 times slower on
    several threads that wait for a busy core than on one."""
    return threadpool_limits(1, user_api="blas")


@dataclass(frozen=True)
class Pose:
    """Parameters of N frames.

    Attributes:
        rotation: [N, 3, 3], head to camera before the flip of axes.
        translation: [N, 3] m
        jaw: [N, 3] rad, axis-angle
        expression: [N, E]
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    jaw: NDArray[np.float64]
    expression: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rotation)

    def select(self, rows: slice | NDArray) -> Pose:
        return Pose(
            self.rotation[rows], self.translation[rows], self.jaw[rows], self.expression[rows]
        )


class PointRig:
    """Some points of a head model, posed by jaw and expression, with their derivatives.

    A point between vertices is skinned by the mean of their weights, which in FLAME puts it up to
    0.2 mm from where the skinned vertices have it.

    Args:
        head: the model.
        matrix: the points as a linear map of its vertices. [L, V]
    """

    def __init__(self, head: HeadModel, matrix: NDArray) -> None:
        used = np.nonzero(matrix.any(0))[0]
        matrix = matrix[:, used].astype(np.float64)

        def carried(basis: NDArray) -> NDArray[np.float64]:
            """Of vertices [B, V, 3], of the points. [B, L, 3]"""
            return np.tensordot(basis[:, used], matrix, (1, 1)).transpose(0, 2, 1)

        self.template = matrix @ head.template[used]
        self.shape_basis = carried(head.shape_basis)
        self.expression = carried(head.expression_basis)
        # The same as [L, 3, E], for one small matrix product per point.
        self._by_point = self.expression.transpose(1, 2, 0).astype(np.float32)
        self.jaw_weight = (matrix @ head.skin_weights[used, JAW])[:, None]
        own = slice((JAW - 1) * 9, JAW * 9)
        correctives = None if head.pose_basis is None else carried(head.pose_basis[own])
        self._correctives = correctives
        regressor = head.joint_regressor[JAW].astype(np.float64)
        self._joint = regressor @ head.template
        self._joint_basis = np.tensordot(head.shape_basis, regressor, (1, 0))
        self._joint_expression = (
            np.tensordot(head.expression_basis, regressor, (1, 0))
            if head.expression_moves_joints
            else None
        )

    def pose(self, shape: NDArray, jaw: NDArray, expression: NDArray) -> Posed:
        """Points in head space for shape [S], jaw [N, 3] (rad) and expression [N, E]."""
        rest = self.template + np.tensordot(shape, self.shape_basis, 1)
        moved = rest + np.tensordot(expression, self.expression, 1)
        turn = Rotation.from_rotvec(jaw).as_matrix()
        if self._correctives is not None:
            moved = moved + np.tensordot((turn - np.eye(3)).reshape(-1, 9), self._correctives, 1)
        joint = self._joint + shape @ self._joint_basis
        if self._joint_expression is not None:
            joint = (joint + expression @ self._joint_expression)[:, None]
        arm = np.einsum("nab,nlb->nla", turn, moved - joint)
        points = self.jaw_weight * (arm + joint) + (1 - self.jaw_weight) * moved
        return Posed(points, arm, turn)

    def slopes(self, posed: Posed, by_point: NDArray) -> NDArray[np.float32]:
        """Chain rule from points to jaw and expression.

        Args:
            posed: where to differentiate.
            by_point: derivatives of some values by each point. [N, L, I, 3]

        Returns:
            Derivatives of those values by jaw, then expression. [N, L, I, 3 + E]
        """
        w = self.jaw_weight[..., None]
        # d (exp(a) p) / da = -[p]x, and u^T [p]x = (u x p)^T.
        jaw = -np.cross(by_point, posed.arm[:, :, None]) * w
        mixed = w * posed.turn[:, None] + (1 - w) * np.eye(3)
        by_moved = by_point @ mixed
        if self._correctives is not None:
            # d exp(a) R / da_k = [e_k]x R; its nine entries weigh the correctives.
            turning = np.cross(np.eye(3)[:, None], posed.turn.transpose(0, 2, 1)[:, None])
            feature = turning.transpose(0, 1, 3, 2).reshape(-1, 3, 9)
            jaw = jaw + by_moved @ np.tensordot(feature, self._correctives, 1).transpose(0, 2, 3, 1)
        expression = by_moved.astype(np.float32) @ self._by_point
        if self._joint_expression is not None:
            by_joint = (by_point @ (np.eye(3) - posed.turn[:, None])) * w
            expression = expression + (by_joint @ self._joint_expression.T).astype(np.float32)
        return np.concatenate([jaw.astype(np.float32), expression], -1)


@dataclass(frozen=True)
class Posed:
    """Points of N frames.

    Attributes:
        points: in head space, m. [N, L, 3]
        arm: from the jaw's joint to each point, had it all of the jaw's rotation. [N, L, 3]
        turn: the jaw's rotation. [N, 3, 3]
    """

    points: NDArray[np.float64]
    arm: NDArray[np.float64]
    turn: NDArray[np.float64]


class LandmarkFitter:
    """Fits one head model, seen by one camera, to landmarks."""

    def __init__(self, head: HeadModel, camera: Camera) -> None:
        self.head = head
        self.camera = camera
        self._rig = PointRig(head, head.landmark_matrix())
        self._ids = head.landmark_ids
        self._template = self._rig.template
        self._shape_basis = self._rig.shape_basis
        self._expression = self._rig.expression
        lips = np.isin(self._ids, OUTER_LIPS + INNER_LIPS)
        self._precision = np.where(lips, LIP_PRECISION, LANDMARK_PRECISION)

    def shape(self, landmarks: NDArray) -> NDArray[np.float64]:
        """Identity shape [S] from some frames' landmarks [K, 478, 3] (px)."""
        shape = np.zeros(len(self._shape_basis))
        pose = self.start(landmarks)
        with one_thread():
            for _ in range(5):
                # Expression is held stiffer here, or it would explain the identity away.
                pose = self.refine(landmarks, shape, pose, steps=3, stiffness=3.0)
                shape = self._shape_step(landmarks, shape, pose)
        return shape

    def start(self, landmarks: NDArray) -> Pose:
        """A first pose for every frame, from the landmarks' own depth (weak perspective)."""
        return _joined(
            [self._start_block(landmarks[i : i + BLOCK]) for i in range(0, len(landmarks), BLOCK)]
        )

    def _start_block(self, landmarks: NDArray) -> Pose:
        points = landmarks[:, self._ids].astype(np.float64) @ FLIP
        centre = points.mean(1, keepdims=True)
        model = self._template - self._template.mean(0)
        u, s, vt = np.linalg.svd(np.einsum("nvi,vj->nij", points - centre, model))
        sign = np.ones_like(s)
        sign[:, 2] = np.sign(np.linalg.det(u @ vt))
        rotation = (u * sign[:, None]) @ vt
        scale = (s * sign).sum(1) / (model**2).sum()  # px per m
        depth = self.camera.focal / scale
        middle = landmarks[:, self._ids, :2].mean(1) - [self.camera.cx, self.camera.cy]
        translation = np.concatenate([middle / scale[:, None], depth[:, None]], 1)
        translation -= np.einsum("ab,nbc,c->na", FLIP, rotation, self._template.mean(0))
        n = len(landmarks)
        return Pose(rotation, translation, np.zeros((n, 3)), np.zeros((n, len(self._expression))))

    def refine(
        self,
        landmarks: NDArray,  # [N, 478, 3] px
        shape: NDArray,  # [S]
        pose: Pose,
        *,
        steps: int = 4,
        stiffness: float = 1.0,
    ) -> Pose:
        """Gauss-Newton on every frame by itself.

        Args:
            landmarks: what the detector saw, px. [N, 478, 3]
            shape: identity, held fixed. [S]
            pose: where to start.
            steps: iterations.
            stiffness: factor on the expression prior's precision.

        Returns:
            The fitted parameters.
        """
        with one_thread():
            parts = [
                self._refine_block(
                    landmarks[i : i + BLOCK],
                    shape,
                    pose.select(slice(i, i + BLOCK)),
                    steps,
                    stiffness,
                )
                for i in range(0, len(landmarks), BLOCK)
            ]
        return _joined(parts)

    def _refine_block(
        self,
        landmarks: NDArray,
        shape: NDArray,
        pose: Pose,
        steps: int,
        stiffness: float,
    ) -> Pose:
        target = landmarks[:, self._ids, :2].astype(np.float64)
        size = np.linalg.norm(target.max(1) - target.min(1), axis=1)
        count = len(self._expression)
        prior = np.concatenate(
            [np.zeros(6), JAW_PRECISION, np.full(count, EXPRESSION_PRECISION * stiffness)]
        )
        for _ in range(steps):
            residual, jacobian, _ = self._linearise(target, size, shape, pose)
            value = np.concatenate([np.zeros((len(pose), 6)), pose.jaw, pose.expression], axis=1)
            transposed = jacobian.transpose(0, 2, 1)
            normal = (transposed @ jacobian).astype(np.float64)
            normal += np.diag(prior**2 + 1e-6)
            slope = (transposed @ residual[..., None].astype(np.float32))[..., 0]
            slope = slope + prior**2 * value
            step = -np.linalg.solve(normal, slope[..., None])[..., 0]
            pose = Pose(
                Rotation.from_rotvec(step[:, :3]).as_matrix() @ pose.rotation,
                pose.translation + step[:, 3:6],
                pose.jaw + step[:, 6:9],
                pose.expression + step[:, 9:],
            )
        return pose

    def _linearise(
        self, target: NDArray, size: NDArray, shape: NDArray, pose: Pose
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Residuals [N, 2L], their Jacobian [N, 2L, 9 + E] and d image / d head [N, L, 2, 3]."""
        posed = self._rig.pose(shape, pose.jaw, pose.expression)
        turned = np.einsum("nab,nlb->nla", pose.rotation, posed.points)
        space = turned @ FLIP + pose.translation[:, None]
        weight = self._precision[None, :, None] / size[:, None, None]
        residual = (self.camera.project(space) - target) * weight

        focal, z = self.camera.focal, space[..., 2]
        # d projection / d camera-space point, weighted like the residual. [N, L, 2, 3]
        slope = np.zeros((*z.shape, 2, 3))
        slope[..., 0, 0] = slope[..., 1, 1] = focal / z
        slope[..., 0, 2] = -focal * space[..., 0] / z**2
        slope[..., 1, 2] = -focal * space[..., 1] / z**2
        slope *= weight[..., None]
        by_turned = slope @ FLIP
        by_local = by_turned @ pose.rotation[:, None]
        n, count = z.shape
        jacobian = np.empty((n, count, 2, 9 + len(self._expression)), np.float32)
        # d (exp(a) p) / da = -[p]x, and u^T [p]x = (u x p)^T with the sign turned.
        jacobian[..., 0:3] = -np.cross(by_turned, turned[:, :, None])
        jacobian[..., 3:6] = slope
        jacobian[..., 6:] = self._rig.slopes(posed, by_local)
        flat = jacobian.reshape(n, count * 2, -1)
        return residual.reshape(n, -1), flat, by_local

    def _shape_step(self, landmarks: NDArray, shape: NDArray, pose: Pose) -> NDArray:
        target = landmarks[:, self._ids, :2].astype(np.float64)
        size = np.linalg.norm(target.max(1) - target.min(1), axis=1)
        residual, _, by_local = self._linearise(target, size, shape, pose)
        jacobian = np.einsum("nlij,slj->nlis", by_local, self._shape_basis, optimize=True)
        jacobian = jacobian.reshape(-1, len(shape))
        # Frames of a clip are far from independent: their mean counts, not their sum.
        scale = 4.0 / len(pose)
        normal = jacobian.T @ jacobian * scale + np.eye(len(shape)) * SHAPE_PRECISION**2
        gradient = jacobian.T @ residual.ravel() * scale + SHAPE_PRECISION**2 * shape
        return shape - np.linalg.solve(normal, gradient)

    def error(self, landmarks: NDArray, shape: NDArray, pose: Pose) -> NDArray[np.float64]:
        """Distance of each landmark to its fitted place, px. [N, L]"""
        result = np.empty((len(pose), len(self._ids)))
        for i in range(0, len(pose), BLOCK):
            part = pose.select(slice(i, i + BLOCK))
            target = landmarks[i : i + BLOCK, self._ids, :2].astype(np.float64)
            size = np.ones(len(part))
            residual, _, _ = self._linearise(target, size, shape, part)
            distance = residual.reshape(len(part), -1, 2) / self._precision[None, :, None]
            result[i : i + BLOCK] = np.linalg.norm(distance, axis=-1)
        return result


def _joined(parts: list[Pose]) -> Pose:
    return Pose(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Pose))
    )
