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

from dubfew.reconstruction.fitting.point_rig import PointRig
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.projection import HEAD_TO_CAMERA_AXES
from dubfew.reconstruction.track import Camera

# A residual of 1 is one face width; these are the inverse standard deviations that the
# residuals and the coefficients are measured in.
LANDMARK_PRECISION = 1 / 0.004
LIP_PRECISION = 1 / 0.002
EXPRESSION_PRECISION = 1.0
SHAPE_PRECISION = 1.0
# rad: speech opens the jaw by pitch; yaw and roll stay small.
JAW_PRECISION = np.array([1 / 0.15, 1 / 0.03, 1 / 0.02])
NUM_SHAPE_FRAMES = 24
JACOBIAN_BLOCK_FRAMES = 64  # frames whose Jacobians are held at once: 64 x 936 x 60 floats, 14 MB


def limit_blas_threads() -> threadpool_limits:
    """One BLAS thread inside the block: thousands of small products run 100 times slower on
    several threads that wait for a busy core than on one."""
    return threadpool_limits(1, user_api="blas")


@dataclass(frozen=True)
class FaceParameters:
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

    def select(self, rows: slice | NDArray) -> FaceParameters:
        return FaceParameters(
            self.rotation[rows], self.translation[rows], self.jaw[rows], self.expression[rows]
        )


class LandmarkFitter:
    """Fits one head model, seen by one camera, to landmarks."""

    def __init__(self, head: HeadModel, camera: Camera) -> None:
        self.head = head
        self.camera = camera
        self._rig = PointRig(head, head.landmark_matrix())
        self._landmark_ids = head.landmark_ids
        self._template = self._rig.template
        self._shape_basis = self._rig.shape_basis
        self._expression_basis = self._rig.expression_basis
        lips = np.isin(self._landmark_ids, OUTER_LIPS + INNER_LIPS)
        self._landmark_precision = np.where(lips, LIP_PRECISION, LANDMARK_PRECISION)

    def fit_shape(self, landmarks: NDArray) -> NDArray[np.float64]:
        """Identity shape [S] from some frames' landmarks [K, 478, 3] (px)."""
        shape = np.zeros(len(self._shape_basis))
        pose = self.estimate_initial_pose(landmarks)
        with limit_blas_threads():
            for _ in range(5):
                # Expression is held stiffer here, or it would explain the identity away.
                pose = self.refine_parameters(
                    landmarks, shape, pose, num_steps=3, expression_stiffness=3.0
                )
                shape = self._update_shape(landmarks, shape, pose)
        return shape

    def estimate_initial_pose(self, landmarks: NDArray) -> FaceParameters:
        """A first pose for every frame, from the landmarks' own depth (weak perspective)."""
        return _concatenate_parameters(
            [
                self._estimate_initial_block(landmarks[i : i + JACOBIAN_BLOCK_FRAMES])
                for i in range(0, len(landmarks), JACOBIAN_BLOCK_FRAMES)
            ]
        )

    def _estimate_initial_block(self, landmarks: NDArray) -> FaceParameters:
        points = landmarks[:, self._landmark_ids].astype(np.float64) @ HEAD_TO_CAMERA_AXES
        centre = points.mean(1, keepdims=True)
        model = self._template - self._template.mean(0)
        u, s, vt = np.linalg.svd(np.einsum("nvi,vj->nij", points - centre, model))
        sign = np.ones_like(s)
        sign[:, 2] = np.sign(np.linalg.det(u @ vt))
        rotation = (u * sign[:, None]) @ vt
        scale = (s * sign).sum(1) / (model**2).sum()  # px per m
        depth = self.camera.focal / scale
        middle = landmarks[:, self._landmark_ids, :2].mean(1) - [self.camera.cx, self.camera.cy]
        translation = np.concatenate([middle / scale[:, None], depth[:, None]], 1)
        translation -= np.einsum(
            "ab,nbc,c->na", HEAD_TO_CAMERA_AXES, rotation, self._template.mean(0)
        )
        n = len(landmarks)
        return FaceParameters(
            rotation, translation, np.zeros((n, 3)), np.zeros((n, len(self._expression_basis)))
        )

    def refine_parameters(
        self,
        landmarks: NDArray,  # [N, 478, 3] px
        shape: NDArray,  # [S]
        parameters: FaceParameters,
        *,
        num_steps: int = 4,
        expression_stiffness: float = 1.0,
    ) -> FaceParameters:
        """Gauss-Newton on every frame by itself.

        Args:
            landmarks: what the detector saw, px. [N, 478, 3]
            shape: identity, held fixed. [S]
            parameters: where to start.
            num_steps: iterations.
            expression_stiffness: factor on the expression prior's precision.

        Returns:
            The fitted parameters.
        """
        with limit_blas_threads():
            parts = [
                self._refine_block(
                    landmarks[i : i + JACOBIAN_BLOCK_FRAMES],
                    shape,
                    parameters.select(slice(i, i + JACOBIAN_BLOCK_FRAMES)),
                    num_steps,
                    expression_stiffness,
                )
                for i in range(0, len(landmarks), JACOBIAN_BLOCK_FRAMES)
            ]
        return _concatenate_parameters(parts)

    def _refine_block(
        self,
        landmarks: NDArray,
        shape: NDArray,
        parameters: FaceParameters,
        num_steps: int,
        expression_stiffness: float,
    ) -> FaceParameters:
        target = landmarks[:, self._landmark_ids, :2].astype(np.float64)
        size = np.linalg.norm(target.max(1) - target.min(1), axis=1)
        count = len(self._expression_basis)
        prior = np.concatenate(
            [
                np.zeros(6),
                JAW_PRECISION,
                np.full(count, EXPRESSION_PRECISION * expression_stiffness),
            ]
        )
        for _ in range(num_steps):
            residual, jacobian, _ = self._linearize(target, size, shape, parameters)
            value = np.concatenate(
                [np.zeros((len(parameters), 6)), parameters.jaw, parameters.expression], axis=1
            )
            transposed = jacobian.transpose(0, 2, 1)
            normal = (transposed @ jacobian).astype(np.float64)
            normal += np.diag(prior**2 + 1e-6)
            slope = (transposed @ residual[..., None].astype(np.float32))[..., 0]
            slope = slope + prior**2 * value
            step = -np.linalg.solve(normal, slope[..., None])[..., 0]
            parameters = FaceParameters(
                Rotation.from_rotvec(step[:, :3]).as_matrix() @ parameters.rotation,
                parameters.translation + step[:, 3:6],
                parameters.jaw + step[:, 6:9],
                parameters.expression + step[:, 9:],
            )
        return parameters

    def _linearize(
        self, target: NDArray, face_size: NDArray, shape: NDArray, parameters: FaceParameters
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Residuals [N, 2L], their Jacobian [N, 2L, 9 + E] and d image / d head [N, L, 2, 3]."""
        posed = self._rig.pose_points(shape, parameters.jaw, parameters.expression)
        turned = np.einsum("nab,nlb->nla", parameters.rotation, posed.points)
        space = turned @ HEAD_TO_CAMERA_AXES + parameters.translation[:, None]
        weight = self._landmark_precision[None, :, None] / face_size[:, None, None]
        residual = (self.camera.project(space) - target) * weight

        focal, z = self.camera.focal, space[..., 2]
        # d projection / d camera-space point, weighted like the residual. [N, L, 2, 3]
        slope = np.zeros((*z.shape, 2, 3))
        slope[..., 0, 0] = slope[..., 1, 1] = focal / z
        slope[..., 0, 2] = -focal * space[..., 0] / z**2
        slope[..., 1, 2] = -focal * space[..., 1] / z**2
        slope *= weight[..., None]
        by_turned = slope @ HEAD_TO_CAMERA_AXES
        by_local = by_turned @ parameters.rotation[:, None]
        n, count = z.shape
        jacobian = np.empty((n, count, 2, 9 + len(self._expression_basis)), np.float32)
        # d (exp(a) p) / da = -[p]x, and u^T [p]x = (u x p)^T with the sign turned.
        jacobian[..., 0:3] = -np.cross(by_turned, turned[:, :, None])
        jacobian[..., 3:6] = slope
        jacobian[..., 6:] = self._rig.jacobian(posed, by_local)
        flat = jacobian.reshape(n, count * 2, -1)
        return residual.reshape(n, -1), flat, by_local

    def _update_shape(
        self, landmarks: NDArray, shape: NDArray, parameters: FaceParameters
    ) -> NDArray:
        target = landmarks[:, self._landmark_ids, :2].astype(np.float64)
        size = np.linalg.norm(target.max(1) - target.min(1), axis=1)
        residual, _, by_local = self._linearize(target, size, shape, parameters)
        jacobian = np.einsum("nlij,slj->nlis", by_local, self._shape_basis, optimize=True)
        jacobian = jacobian.reshape(-1, len(shape))
        # Frames of a clip are far from independent: their mean counts, not their sum.
        scale = 4.0 / len(parameters)
        normal = jacobian.T @ jacobian * scale + np.eye(len(shape)) * SHAPE_PRECISION**2
        gradient = jacobian.T @ residual.ravel() * scale + SHAPE_PRECISION**2 * shape
        return shape - np.linalg.solve(normal, gradient)

    def landmark_errors(
        self, landmarks: NDArray, shape: NDArray, parameters: FaceParameters
    ) -> NDArray[np.float64]:
        """Distance of each landmark to its fitted place, px. [N, L]"""
        result = np.empty((len(parameters), len(self._landmark_ids)))
        for i in range(0, len(parameters), JACOBIAN_BLOCK_FRAMES):
            part = parameters.select(slice(i, i + JACOBIAN_BLOCK_FRAMES))
            target = landmarks[i : i + JACOBIAN_BLOCK_FRAMES, self._landmark_ids, :2].astype(
                np.float64
            )
            size = np.ones(len(part))
            residual, _, _ = self._linearize(target, size, shape, part)
            distance = residual.reshape(len(part), -1, 2) / self._landmark_precision[None, :, None]
            result[i : i + JACOBIAN_BLOCK_FRAMES] = np.linalg.norm(distance, axis=-1)
        return result


def _concatenate_parameters(parts: list[FaceParameters]) -> FaceParameters:
    return FaceParameters(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(FaceParameters)
        )
    )
