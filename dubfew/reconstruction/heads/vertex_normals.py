"""Normals of mesh vertices in NumPy; ``head_torch.py`` has the differentiable twin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sum_face_normals(
    vertices: NDArray,  # [V, 3]
    faces: NDArray,  # [F, 3]
) -> NDArray:  # [V, 3]
    """Add up the normals of the faces around each vertex, weighted by the faces' area.

    Args:
        vertices: positions, in any unit. [V, 3]
        faces: corner indices. [F, 3]

    Returns:
        Unnormalized normals: a face adds twice its area. They point to the side from which the
        corners run counter-clockwise (right-handed axes). [V, 3], of the vertices' type
    """
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    face_normals = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    # add.at, not fancy assignment: a vertex occurs in several faces. Corner by corner, since the
    # order of the additions decides the last bits of the results.
    for corner in range(3):
        np.add.at(total, faces[:, corner], face_normals)
    return total


def compute_vertex_normals(
    vertices: NDArray,  # [V, 3]
    faces: NDArray,  # [F, 3]
) -> NDArray:  # [V, 3]
    """Compute area-weighted unit normals of vertices.

    Args:
        vertices: positions, in any unit. [V, 3]
        faces: corner indices. [F, 3]

    Returns:
        Unit vectors, zero where all faces of a vertex have no area. [V, 3], of the vertices' type

    Example:
        >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
        >>> compute_vertex_normals(corners, np.array([[0, 1, 2]]))[0].tolist()
        [0.0, 0.0, 1.0]
    """
    total = sum_face_normals(vertices, faces)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
