"""Where a head's vertices fall in the picture, which way they face, and how that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import jacfwd, vmap

from dubfew.reconstruction.fitting.landmark_fit import FLIP, Pose
from dubfew.reconstruction.fitting.photometric.shading import vertex_normals
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.head_torch import TorchHead, rotation_matrix
from dubfew.utils.jit import compiled

# Values per vertex: x, y (px from the principal point), normal in view axes.
VALUES = 5
# As many frames' derivatives are made at once as have this many numbers per value: 20 MB, and
# several times that on the way.
AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Shown:
    """Vertices of N frames in the picture.

    Attributes:
        values: x, y (px from the principal point), unit normal. [N, V, 5]
        depth: m. [N, V]
        slopes: derivatives of the values by rotation (rad, left of the head's own), translation,
            jaw, expression, and, where asked for, shape and the focal length's logarithm.
            [N, V, 5, D]
    """

    values: NDArray[np.float32]
    depth: NDArray[np.float32]
    slopes: NDArray[np.float32]


class Geometry:
    """One head model seen by a pinhole camera."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self._torch = TorchHead(head)
        self._faces = torch.from_numpy(head.faces.astype(np.int64))
        self._flip = torch.from_numpy(FLIP.astype(np.float32))

    def show(
        self,
        pose: Pose,
        shape: NDArray,
        focal: float,
        *,
        slopes: Literal["none", "frame", "clip"],
    ) -> Shown:
        """Vertices, and their derivatives by what moves in a frame, or by shape and camera too."""
        still = np.zeros((len(pose), 3))
        moving = np.concatenate([still, pose.translation, pose.jaw, pose.expression], 1)
        frame = torch.from_numpy(moving.astype(np.float32))
        common = torch.from_numpy(np.append(shape, np.log(focal)).astype(np.float32))
        turn = torch.from_numpy(pose.rotation.astype(np.float32))
        arguments = (0, 1) if slopes == "clip" else (0,)
        slope = vmap(jacfwd(self._one, argnums=arguments, has_aux=True), in_dims=(0, None, 0))
        if slopes == "none":
            values, (_, depth) = vmap(self._one, in_dims=(0, None, 0))(frame, common, turn)
            return Shown(values.numpy(), depth.numpy(), np.zeros((*values.shape, 0), np.float32))
        width = moving.shape[1] + (len(common) if slopes == "clip" else 0)
        chunk = max(1, AT_ONCE // (width * len(self.head.template)))
        parts = []
        for i in range(0, len(pose), chunk):
            jacobians, (values, depth) = slope(frame[i : i + chunk], common, turn[i : i + chunk])
            parts.append((values, depth, torch.cat(jacobians, -1)))
        return Shown(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)))

    def _one(
        self, moving: Tensor, common: Tensor, turn: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        local = self._torch(common[:-1], moving[None, 9:], moving[None, 6:9])[0]
        turned = local @ (rotation_matrix(moving[None, :3])[0] @ turn).T
        space = turned @ self._flip + moving[3:6]
        image = space[:, :2] / space[:, 2:] * common[-1].exp()
        values = torch.cat([image, vertex_normals(turned, self._faces)], -1)
        return values, (values, space[:, 2])


def normal_equations(
    face: NDArray[np.int32],  # [P]
    barycentric: NDArray[np.float32],  # [P, 3]
    slopes: NDArray[np.float32],  # [P, C, 5]
    residual: NDArray[np.float32],  # [P, C]
    weight: NDArray[np.float32],  # [P]
    faces: NDArray[np.int32],  # [F, 3]
    by_vertex: NDArray[np.float32],  # [V, 5, D]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """J'WJ [D, D] and J'Wr [D] of residuals at points on a mesh.

    Args:
        face: that each point lies on. [P]
        barycentric: where on it. [P, 3]
        slopes: derivatives of the residuals by the point's five values. [P, C, 5]
        residual: C per point. [P, C]
        weight: of each point. [P]
        faces: corner indices. [F, 3]
        by_vertex: derivatives of the vertices' values by the parameters. [V, 5, D]
    """
    used, place = np.unique(face, return_inverse=True)
    matrix = np.zeros((len(used), 3 * VALUES, 3 * VALUES), np.float32)
    vector = np.zeros((len(used), 3 * VALUES), np.float32)
    _gather(place.astype(np.int64), barycentric, slopes, residual, weight, matrix, vector)
    # Summed over the points of each face first: the parameters are many, the corners only three.
    corners = by_vertex[faces[used]].reshape(len(used), 3 * VALUES, -1)
    flat = corners.reshape(-1, corners.shape[-1])
    half = (matrix @ corners).reshape(flat.shape)
    return (flat.T @ half).astype(np.float64), (flat.T @ vector.ravel()).astype(np.float64)


@compiled
def _gather(place, barycentric, slopes, residual, weight, matrix, vector):
    points, channels, values = slopes.shape
    row = np.empty(3 * values, np.float32)
    for p in range(points):
        w = weight[p]
        if w <= 0:
            continue
        f = place[p]
        for c in range(channels):
            for k in range(3):
                for v in range(values):
                    row[k * values + v] = barycentric[p, k] * slopes[p, c, v]
            r = residual[p, c] * w
            for i in range(3 * values):
                vector[f, i] += row[i] * r
                wr = w * row[i]
                for j in range(3 * values):
                    matrix[f, i, j] += wr * row[j]
