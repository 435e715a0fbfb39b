"""Where a head's vertices fall in the picture, which way they face, and how that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import jacfwd, vmap

from dubfew.reconstruction.fitting.landmark_fit import FaceParameters
from dubfew.reconstruction.fitting.photometric.layout import (
    EXPRESSION_COLUMNS,
    JAW_COLUMNS,
    LOG_FOCAL_COLUMN,
    ROTATION_COLUMNS,
    SHAPE_COLUMNS,
    TRANSLATION_COLUMNS,
    VALUES_PER_VERTEX,
)
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.head_torch import (
    TorchHeadModel,
    axis_angle_to_matrix,
    compute_vertex_normals,
)
from dubfew.reconstruction.projection import HEAD_TO_CAMERA_AXES
from dubfew.utils.jit import njit_cached

# As many frames' derivatives are made at once as have this many numbers per value: 20 MB, and
# several times that on the way.
JACOBIAN_CHUNK_VALUES = 1_000_000


@dataclass(frozen=True)
class ProjectedVertices:
    """Vertices of N frames in the picture.

    Attributes:
        values: x, y (px from the principal point), unit normal. [N, V, 5]
        depth: m. [N, V]
        jacobian: derivatives of the values by rotation (rad, left of the head's own), translation,
            jaw, expression, and, where asked for, shape and the focal length's logarithm.
            [N, V, 5, D]
    """

    values: NDArray[np.float32]
    depth: NDArray[np.float32]
    jacobian: NDArray[np.float32]


class HeadProjector:
    """One head model seen by a pinhole camera."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self._torch_head = TorchHeadModel(head)
        self._faces = torch.from_numpy(head.faces.astype(np.int64))
        self._camera_flip = torch.from_numpy(HEAD_TO_CAMERA_AXES.astype(np.float32))

    def project_frames(
        self,
        pose: FaceParameters,
        shape: NDArray,
        focal: float,
        *,
        derivatives: Literal["none", "frame", "clip"],
    ) -> ProjectedVertices:
        """Vertices, and their derivatives by what moves in a frame, or by shape and camera too."""
        still = np.zeros((len(pose), 3))
        moving = np.concatenate([still, pose.translation, pose.jaw, pose.expression], 1)
        frame = torch.from_numpy(moving.astype(np.float32))
        common = torch.from_numpy(np.append(shape, np.log(focal)).astype(np.float32))
        turn = torch.from_numpy(pose.rotation.astype(np.float32))
        arguments = (0, 1) if derivatives == "clip" else (0,)
        slope = vmap(
            jacfwd(self._project_frame, argnums=arguments, has_aux=True), in_dims=(0, None, 0)
        )
        if derivatives == "none":
            values, (_, depth) = vmap(self._project_frame, in_dims=(0, None, 0))(
                frame, common, turn
            )
            return ProjectedVertices(
                values.numpy(), depth.numpy(), np.zeros((*values.shape, 0), np.float32)
            )
        width = moving.shape[1] + (len(common) if derivatives == "clip" else 0)
        chunk = max(1, JACOBIAN_CHUNK_VALUES // (width * len(self.head.template)))
        parts = []
        for i in range(0, len(pose), chunk):
            jacobians, (values, depth) = slope(frame[i : i + chunk], common, turn[i : i + chunk])
            parts.append((values, depth, torch.cat(jacobians, -1)))
        return ProjectedVertices(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)))

    def _project_frame(
        self, frame_parameters: Tensor, clip_parameters: Tensor, base_rotation: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        frame = frame_parameters[None]
        local = self._torch_head(
            clip_parameters[SHAPE_COLUMNS], frame[:, EXPRESSION_COLUMNS], frame[:, JAW_COLUMNS]
        )[0]
        turned = local @ (axis_angle_to_matrix(frame[:, ROTATION_COLUMNS])[0] @ base_rotation).T
        space = turned @ self._camera_flip + frame_parameters[TRANSLATION_COLUMNS]
        image = space[:, :2] / space[:, 2:] * clip_parameters[LOG_FOCAL_COLUMN].exp()
        values = torch.cat([image, compute_vertex_normals(turned, self._faces)], -1)
        return values, (values, space[:, 2])


def build_normal_equations(
    face_ids: NDArray[np.int32],  # [P]
    barycentric: NDArray[np.float32],  # [P, 3]
    residual_jacobian: NDArray[np.float32],  # [P, C, 5]
    residual: NDArray[np.float32],  # [P, C]
    weight: NDArray[np.float32],  # [P]
    faces: NDArray[np.int32],  # [F, 3]
    vertex_jacobian: NDArray[np.float32],  # [V, 5, D]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """J'WJ [D, D] and J'Wr [D] of residuals at points on a mesh.

    Args:
        face_ids: that each point lies on. [P]
        barycentric: where on it. [P, 3]
        residual_jacobian: derivatives of the residuals by the point's five values. [P, C, 5]
        residual: C per point. [P, C]
        weight: of each point. [P]
        faces: corner indices. [F, 3]
        vertex_jacobian: derivatives of the vertices' values by the parameters. [V, 5, D]
    """
    used, place = np.unique(face_ids, return_inverse=True)
    matrix = np.zeros((len(used), 3 * VALUES_PER_VERTEX, 3 * VALUES_PER_VERTEX), np.float32)
    vector = np.zeros((len(used), 3 * VALUES_PER_VERTEX), np.float32)
    _accumulate_by_face(
        place.astype(np.int64), barycentric, residual_jacobian, residual, weight, matrix, vector
    )
    # Summed over the points of each face first: the parameters are many, the corners only three.
    corners = vertex_jacobian[faces[used]].reshape(len(used), 3 * VALUES_PER_VERTEX, -1)
    flat = corners.reshape(-1, corners.shape[-1])
    half = (matrix @ corners).reshape(flat.shape)
    return (flat.T @ half).astype(np.float64), (flat.T @ vector.ravel()).astype(np.float64)


@njit_cached
def _accumulate_by_face(face_rows, barycentric, jacobian, residual, weight, matrix, vector):
    points, channels, values = jacobian.shape
    row = np.empty(3 * values, np.float32)
    for p in range(points):
        w = weight[p]
        if w <= 0:
            continue
        f = face_rows[p]
        for c in range(channels):
            for k in range(3):
                for v in range(values):
                    row[k * values + v] = barycentric[p, k] * jacobian[p, c, v]
            r = residual[p, c] * w
            for i in range(3 * values):
                vector[f, i] += row[i] * r
                wr = w * row[i]
                for j in range(3 * values):
                    matrix[f, i, j] += wr * row[j]
