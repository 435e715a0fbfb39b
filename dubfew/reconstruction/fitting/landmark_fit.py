"""Landmark fit: from landmarks to parameters of a head model, by batched Gauss-Newton.

The unknowns of a frame are head rotation and translation, jaw rotation and expression; the unknown
of a clip is the identity shape. Residuals are distances of landmarks in the image over the size of
the face in the image, plus zero-mean priors on the coefficients.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), sec. 3.1 and A.1, landmark term and regularization of
eq. 3. The photometric term is in ``fitting/photometric``.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from threadpoolctl import ThreadpoolController

from dubfew.reconstruction.fitting.point_rig import (
    PointRig,
    PosedPoints,
    cross_product,
    multiply_by_frame,
)
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.projection import HEAD_TO_CAMERA_AXES
from dubfew.reconstruction.track import Camera
from dubfew.utils.growable_array import release_pages

# Precisions are inverse standard deviations: a larger one pulls harder.
# Landmarks, in sizes of the face: the detector is trusted to 0.4 % of it, on the lips to 0.2 %,
# because their opening is what dubbing is about.
LANDMARK_PRECISION = 1 / 0.004
LIP_PRECISION = 1 / 0.002
# Coefficients, in standard deviations of the head model's training data.
EXPRESSION_PRECISION = 1.0
SHAPE_PRECISION = 1.0
# Jaw by pitch, yaw and roll, 1 / rad: speech opens the jaw by pitch, yaw and roll stay small.
JAW_PRECISION = np.array([1 / 0.15, 1 / 0.03, 1 / 0.02])
# Ridge on all normal equations, so that they can be solved if a parameter has no effect.
NORMAL_EQUATION_RIDGE = 1e-6
# Frames that one shape is fitted to. More frames see more poses and take longer.
NUM_SHAPE_FRAMES = 24
# Alternations of parameters and shape, and Gauss-Newton steps in each.
NUM_SHAPE_ROUNDS, NUM_SHAPE_ROUND_STEPS = 5, 3
# Factor on the expression's precision while the shape is fitted. With 1, expression would explain
# part of the identity.
SHAPE_ROUND_EXPRESSION_STIFFNESS = 3.0
# All frames of a clip together count as this many independent frames against the shape's prior:
# they share most of their error.
EFFECTIVE_SHAPE_FRAMES = 4.0
# Frames whose Jacobians are in memory at once: 16 x 936 x 60 floats, 4 MB, and three times as much
# for what they are made of. Larger blocks are no faster.
JACOBIAN_BLOCK_FRAMES = 16


@cache
def _find_blas() -> ThreadpoolController:
    """Find the BLAS libraries of this process, once: a search takes ten milliseconds.

    Those of NumPy and SciPy, which this module works with, are loaded by then.
    """
    return ThreadpoolController()


def limit_blas_threads() -> AbstractContextManager[object]:
    """Limit BLAS to one thread inside of a ``with`` block.

    Thousands of small products run up to 100 times slower on several threads that wait for a busy
    core than on one thread.
    """
    return cast(AbstractContextManager[object], _find_blas().limit(limits=1, user_api="blas"))


@dataclass(frozen=True)
class FaceParameters:
    """Pose and expression of N frames.

    Attributes:
        rotation: head rotations as matrices, before ``HEAD_TO_CAMERA_AXES``. [N, 3, 3]
        translation: origin of the head in camera space, m. [N, 3]
        jaw: jaw rotations, axis-angle, rad. [N, 3]
        expression: expression coefficients. [N, E]
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    jaw: NDArray[np.float64]
    expression: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rotation)

    def select(self, rows: slice | NDArray) -> FaceParameters:
        """Select the parameters of some frames.

        Args:
            rows: what is kept: a slice, or numbers of frames [n] in the new order.
        """
        return FaceParameters(
            self.rotation[rows], self.translation[rows], self.jaw[rows], self.expression[rows]
        )


@dataclass(frozen=True)
class _Linearization:
    """Residuals of L landmarks in N frames at some parameters, and what their derivatives are of.

    Attributes:
        posed: landmarks of the model in head space.
        rotated: the same, turned as the head is, m. [N, L, 3]
        residual: weighted differences from the detected landmarks. [N, L, 2]
        by_space: derivatives by points in camera space. [N, L, 2, 3]
        by_rotated: derivatives by ``rotated``. [N, L, 2, 3]
        by_local: derivatives by points in head space. [N, L, 2, 3]
    """

    posed: PosedPoints
    rotated: NDArray[np.float64]
    residual: NDArray[np.float64]
    by_space: NDArray[np.float64]
    by_rotated: NDArray[np.float64]
    by_local: NDArray[np.float64]

    @property
    def flat_residual(self) -> NDArray[np.float64]:
        """Return the residuals of each frame as one vector. [N, 2L]"""
        return self.residual.reshape(len(self.residual), -1)


class LandmarkFitter:
    """Fit one head model, seen by one camera, to landmarks.

    Args:
        head: head model.
        camera: intrinsics, fixed.
    """

    def __init__(self, head: HeadModel, camera: Camera) -> None:
        self.head = head
        self.camera = camera
        self._rig = PointRig(head, head.landmark_matrix())
        self._landmark_ids = head.landmark_ids
        self._template = self._rig.template
        self._shape_basis = self._rig.shape_basis
        self._expression_basis = self._rig.expression_basis
        # Lips are weighted higher than the rest of the face.
        lips = np.isin(self._landmark_ids, OUTER_LIPS + INNER_LIPS)
        self._landmark_precision = np.where(lips, LIP_PRECISION, LANDMARK_PRECISION)

    def fit_shape(self, landmarks: NDArray) -> NDArray[np.float64]:
        """Fit the identity shape to the landmarks of some frames.

        Alternates between the parameters of the frames and the shape.

        Args:
            landmarks: px. [K, 478, 3]

        Returns:
            Identity coefficients. [S]
        """
        # Start from the mean head.
        shape = np.zeros(len(self._shape_basis))
        parameters = self.estimate_initial_pose(landmarks)
        with limit_blas_threads():
            for _ in range(NUM_SHAPE_ROUNDS):
                parameters = self.refine_parameters(
                    landmarks,
                    shape,
                    parameters,
                    num_steps=NUM_SHAPE_ROUND_STEPS,
                    expression_stiffness=SHAPE_ROUND_EXPRESSION_STIFFNESS,
                )
                shape = self._update_shape(landmarks, shape, parameters)
        return shape

    def estimate_initial_pose(self, landmarks: NDArray) -> FaceParameters:
        """Estimate a first pose for every frame from the landmarks and their depth.

        The mean head is laid on the landmarks in weak perspective; jaw and expression are at rest.

        Args:
            landmarks: px. [N, 478, 3]
        """
        parts = []
        for i in range(0, len(landmarks), JACOBIAN_BLOCK_FRAMES):
            parts.append(self._estimate_initial_block(landmarks[i : i + JACOBIAN_BLOCK_FRAMES]))
            release_pages(landmarks)
        return _concatenate_parameters(parts)

    def _estimate_initial_block(self, landmarks: NDArray) -> FaceParameters:
        """Estimate the first poses of one block by orthogonal Procrustes analysis."""
        points = landmarks[:, self._landmark_ids].astype(np.float64) @ HEAD_TO_CAMERA_AXES
        center = points.mean(1, keepdims=True)
        model = self._template - self._template.mean(0)
        u, s, vt = np.linalg.svd(np.einsum("nvi,vj->nij", points - center, model))
        # The sign turns a reflection into a rotation.
        sign = np.ones_like(s)
        sign[:, 2] = np.sign(np.linalg.det(u @ vt))
        rotation = (u * sign[:, None]) @ vt
        # Size in the image, px per m, gives the depth.
        scale = (s * sign).sum(1) / (model**2).sum()
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
        """Improve the parameters of every frame by Gauss-Newton steps; frames are independent.

        Args:
            landmarks: detected landmarks, px. [N, 478, 3]
            shape: identity coefficients, fixed. [S]
            parameters: starting point.
            num_steps: Gauss-Newton steps.
            expression_stiffness: factor on the expression's precision.

        Returns:
            The fitted parameters.
        """
        with limit_blas_threads():
            # Frames are independent, so that blocks give the same result as all frames at once.
            parts = []
            for i in range(0, len(landmarks), JACOBIAN_BLOCK_FRAMES):
                part = self._refine_block(
                    landmarks[i : i + JACOBIAN_BLOCK_FRAMES],
                    shape,
                    parameters.select(slice(i, i + JACOBIAN_BLOCK_FRAMES)),
                    num_steps,
                    expression_stiffness,
                )
                parts.append(part)
                release_pages(landmarks)
        return _concatenate_parameters(parts)

    def _refine_block(
        self,
        landmarks: NDArray,
        shape: NDArray,
        parameters: FaceParameters,
        num_steps: int,
        expression_stiffness: float,
    ) -> FaceParameters:
        """Improve the parameters of one block of frames."""
        target = landmarks[:, self._landmark_ids, :2].astype(np.float64)
        face_size = np.linalg.norm(target.max(1) - target.min(1), axis=1)
        count = len(self._expression_basis)
        # Rotation and translation have no prior.
        prior_precision = np.concatenate(
            [
                np.zeros(6),
                JAW_PRECISION,
                np.full(count, EXPRESSION_PRECISION * expression_stiffness),
            ]
        )
        for _ in range(num_steps):
            point = self._linearize(target, face_size, shape, parameters)
            jacobian, residual = self._fill_jacobian(point), point.flat_residual
            value = np.concatenate(
                [np.zeros((len(parameters), 6)), parameters.jaw, parameters.expression], axis=1
            )
            # Normal equations of residuals and prior: products in float32 for speed, the solution
            # in float64.
            transposed = jacobian.transpose(0, 2, 1)
            normal = (transposed @ jacobian).astype(np.float64)
            normal += np.diag(prior_precision**2 + NORMAL_EQUATION_RIDGE)
            gradient = (transposed @ residual[..., None].astype(np.float32))[..., 0]
            gradient = gradient + prior_precision**2 * value
            step = -np.linalg.solve(normal, gradient[..., None])[..., 0]
            # Rotations are updated by multiplication, all else by addition.
            parameters = FaceParameters(
                Rotation.from_rotvec(step[:, :3]).as_matrix() @ parameters.rotation,
                parameters.translation + step[:, 3:6],
                parameters.jaw + step[:, 6:9],
                parameters.expression + step[:, 9:],
            )
        return parameters

    def _linearize(
        self, target: NDArray, face_size: NDArray, shape: NDArray, parameters: FaceParameters
    ) -> _Linearization:
        """Linearize the residuals at some parameters.

        Args:
            target: detected landmarks, px. [N, L, 2]
            face_size: size of each face, px. [N]
            shape: identity coefficients. [S]
            parameters: point of the linearization.
        """
        posed = self._rig.pose_points(shape, parameters.jaw, parameters.expression)
        rotated = multiply_by_frame(posed.points, parameters.rotation.transpose(0, 2, 1))
        space = rotated * np.diag(HEAD_TO_CAMERA_AXES) + parameters.translation[:, None]
        weight = self._landmark_precision[None, :, None] / face_size[:, None, None]
        residual = (self.camera.project(space) - target) * weight

        focal, z = self.camera.focal, space[..., 2]
        # Derivative of the projection by camera-space points, weighted like the residual.
        by_space = np.zeros((*z.shape, 2, 3))
        by_space[..., 0, 0] = by_space[..., 1, 1] = focal / z
        by_space[..., 0, 2] = -focal * space[..., 0] / z**2
        by_space[..., 1, 2] = -focal * space[..., 1] / z**2
        by_space *= weight[..., None]
        by_rotated = by_space * np.diag(HEAD_TO_CAMERA_AXES)
        by_local = multiply_by_frame(by_rotated, parameters.rotation)
        return _Linearization(posed, rotated, residual, by_space, by_rotated, by_local)

    def _fill_jacobian(self, point: _Linearization) -> NDArray[np.float32]:
        """Derive the residuals by the parameters of their frames. [N, 2L, 9 + E]"""
        n, count = point.residual.shape[:2]
        jacobian = np.empty((n, count, 2, 9 + len(self._expression_basis)), np.float32)
        # Rotation: d (exp(a) p) / da = -[p]x, and u^T [p]x = (u x p)^T.
        jacobian[..., 0:3] = cross_product(point.rotated[:, :, None], point.by_rotated)
        jacobian[..., 3:6] = point.by_space
        self._rig.fill_jacobian(jacobian, 6, point.posed, point.by_local)
        return jacobian.reshape(n, count * 2, -1)

    def _update_shape(
        self, landmarks: NDArray, shape: NDArray, parameters: FaceParameters
    ) -> NDArray:
        """Improve the identity shape [S] by one Gauss-Newton step over all frames."""
        target = landmarks[:, self._landmark_ids, :2].astype(np.float64)
        face_size = np.linalg.norm(target.max(1) - target.min(1), axis=1)
        point = self._linearize(target, face_size, shape, parameters)
        # Shape moves points before the pose does, like expression. All frames have the same basis,
        # so that their derivatives by the points are summed before they meet it.
        by_local = point.by_local.transpose(1, 0, 2, 3).reshape(len(self._landmark_ids), -1, 3)
        residual = point.residual.transpose(1, 0, 2).reshape(len(by_local), -1, 1)
        basis = self._shape_basis.reshape(len(shape), -1)
        by_point = by_local.transpose(0, 2, 1)
        weighted = self._shape_basis.transpose(1, 0, 2) @ (by_point @ by_local)
        scale = EFFECTIVE_SHAPE_FRAMES / len(parameters)
        normal = basis @ weighted.transpose(1, 0, 2).reshape(basis.shape).T * scale
        normal += np.eye(len(shape)) * SHAPE_PRECISION**2
        gradient = basis @ (by_point @ residual).ravel() * scale + SHAPE_PRECISION**2 * shape
        return shape - np.linalg.solve(normal, gradient)

    def landmark_errors(
        self, landmarks: NDArray, shape: NDArray, parameters: FaceParameters
    ) -> NDArray[np.float64]:
        """Measure the distance of each detected landmark from its fitted position.

        Args:
            landmarks: detected landmarks, px. [N, 478, 3]
            shape: identity coefficients. [S]
            parameters: fitted parameters.

        Returns:
            Distance of the model's landmarks, px. [N, L]
        """
        result = np.empty((len(parameters), len(self._landmark_ids)))
        for i in range(0, len(parameters), JACOBIAN_BLOCK_FRAMES):
            part = parameters.select(slice(i, i + JACOBIAN_BLOCK_FRAMES))
            target = landmarks[i : i + JACOBIAN_BLOCK_FRAMES, self._landmark_ids, :2].astype(
                np.float64
            )
            # With a face size of 1, only the precision must be taken out of the residual.
            residual = self._linearize(target, np.ones(len(part)), shape, part).residual
            distance = residual / self._landmark_precision[None, :, None]
            result[i : i + JACOBIAN_BLOCK_FRAMES] = np.linalg.norm(distance, axis=-1)
        return result


def _concatenate_parameters(parts: list[FaceParameters]) -> FaceParameters:
    """Join the parameters of consecutive blocks of frames."""
    return FaceParameters(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(FaceParameters)
        )
    )
