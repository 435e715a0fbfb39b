"""A head's vertices in the picture: positions, normals, and their derivatives by the parameters."""

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

# Frames whose derivatives are computed at once have at most this many numbers for each of the five
# values of a vertex: 20 MB of results, and several times that on the way. Larger chunks are not
# faster.
JACOBIAN_CHUNK_VALUES = 1_000_000


@dataclass(frozen=True)
class ProjectedVertices:
    """Vertices of N frames in the picture.

    Attributes:
        values: x, y (px from the principal point) and unit normal (view axes). [N, V, 5]
        depth: camera-space depth, m. [N, V]
        jacobian: derivatives of the values by the D parameters, whose columns ``layout`` names; D
            is 0 where derivatives were not asked for. [N, V, 5, D]
    """

    values: NDArray[np.float32]
    depth: NDArray[np.float32]
    jacobian: NDArray[np.float32]


class HeadProjector:
    """Projects the vertices of one head model through a pinhole camera.

    Args:
        head: head model.
    """

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
        """Project the vertices of N frames, with derivatives where they are needed.

        Args:
            pose: parameters of the frames.
            shape: identity coefficients. [S]
            focal: focal length, px.
            derivatives: "frame" for those by the frame's parameters, "clip" for those by shape and
                focal length as well, "none" to save their time.
        """
        # Rotations step from the present one, so their derivatives are taken at a zero vector.
        no_turn = np.zeros((len(pose), 3))
        frame_values = np.concatenate([no_turn, pose.translation, pose.jaw, pose.expression], 1)
        frame = torch.from_numpy(frame_values.astype(np.float32))
        clip = torch.from_numpy(np.append(shape, np.log(focal)).astype(np.float32))
        rotation = torch.from_numpy(pose.rotation.astype(np.float32))
        if derivatives == "none":
            values, depth = self.project_tensors(frame, clip, rotation)
            return ProjectedVertices(
                values.numpy(), depth.numpy(), np.zeros((*values.shape, 0), np.float32)
            )
        # Forward mode: there are far fewer parameters than values.
        differentiate = vmap(
            jacfwd(
                self._project_frame,
                argnums=(0, 1) if derivatives == "clip" else (0,),
                has_aux=True,
            ),
            in_dims=(0, None, 0),
        )
        num_columns = frame_values.shape[1] + (len(clip) if derivatives == "clip" else 0)
        chunk = max(1, JACOBIAN_CHUNK_VALUES // (num_columns * len(self.head.template)))
        parts = []
        for i in range(0, len(pose), chunk):
            jacobians, (values, depth) = differentiate(
                frame[i : i + chunk], clip, rotation[i : i + chunk]
            )
            parts.append((values, depth, torch.cat(jacobians, -1)))
        return ProjectedVertices(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)))

    def project_tensors(
        self,
        frame: Tensor,  # [N, 9 + E]
        clip: Tensor,  # [S + 1]
        rotation: Tensor,  # [N, 3, 3]
    ) -> tuple[Tensor, Tensor]:  # [N, V, 5], [N, V]
        """Project the vertices of N frames, with gradients by everything.

        Args:
            frame: parameters of the frames, in the order of ``layout``. [N, 9 + E]
            clip: shape, and logarithm of the focal length. [S + 1]
            rotation: head rotations that the parameters' own are multiplied with. [N, 3, 3]

        Returns:
            Values as in `ProjectedVertices`, and camera-space depth, m.
        """
        values, (_, depth) = vmap(self._project_frame, in_dims=(0, None, 0))(frame, clip, rotation)
        return values, depth

    def _project_frame(
        self, frame_parameters: Tensor, clip_parameters: Tensor, base_rotation: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Values [V, 5] of one frame, and again with the depth [V], which is not differentiated.

        Args:
            frame_parameters: a frame's parameters, in the order of ``layout``. [9 + E]
            clip_parameters: the clip's parameters. [S + 1]
            base_rotation: head rotation that the parameters' own is multiplied with. [3, 3]
        """
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
    """Build the Gauss-Newton equations of residuals at points on a mesh.

    Args:
        face_ids: face that each point lies on. [P]
        barycentric: place of the point in that face. [P, 3]
        residual_jacobian: derivatives of the residuals by the point's five values. [P, C, 5]
        residual: C residuals per point. [P, C]
        weight: weight of each point. [P]
        faces: corner indices of the mesh. [F, 3]
        vertex_jacobian: derivatives of the vertices' values by the parameters. [V, 5, D]

    Returns:
        J'WJ [D, D] and J'Wr [D], where J are the residuals' derivatives by the parameters.
    """
    # J = residual_jacobian * barycentric * vertex_jacobian. Its middle part is summed over the
    # points of each face first: parameters are many, the corners of a face only three.
    used, face_rows = np.unique(face_ids, return_inverse=True)
    matrix = np.zeros((len(used), 3 * VALUES_PER_VERTEX, 3 * VALUES_PER_VERTEX), np.float32)
    vector = np.zeros((len(used), 3 * VALUES_PER_VERTEX), np.float32)
    _accumulate_by_face(
        face_rows.astype(np.int64), barycentric, residual_jacobian, residual, weight, matrix, vector
    )
    corners = vertex_jacobian[faces[used]].reshape(len(used), 3 * VALUES_PER_VERTEX, -1)
    flat = corners.reshape(-1, corners.shape[-1])
    half = (matrix @ corners).reshape(flat.shape)
    return (flat.T @ half).astype(np.float64), (flat.T @ vector.ravel()).astype(np.float64)


@njit_cached
def _accumulate_by_face(face_rows, barycentric, jacobian, residual, weight, matrix, vector):
    """Add J'WJ to ``matrix`` [U, 15, 15] and J'Wr to ``vector`` [U, 15], by the corners' values."""
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
