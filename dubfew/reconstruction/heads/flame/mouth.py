"""A sheet that closes FLAME's mouth: teeth and tongue need a surface to be looked up by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.heads.flame.landmarks import LandmarkEmbedding
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS
from dubfew.reconstruction.heads.mesh_strips import triangulate_strip

MOUTH_SHEET_DEPTH_METERS = 0.008  # m behind the lips: where the teeth are; the same as in `lite`
HALF_RING_LENGTH = len(INNER_LIPS) // 2


@dataclass(frozen=True)
class MouthSheet:
    """Vertices and faces to append to a mesh.

    Attributes:
        vertex_weights: new vertices as means of old ones: one at each inner-lip landmark, in the
            order of
            ``INNER_LIPS``, and one half way between each pair of upper and lower lip. [29, V]
        vertex_offsets: added to that, m. [29, 3]
        faces: into the longer list of vertices. [36, 3]
    """

    vertex_weights: NDArray[np.float32]
    vertex_offsets: NDArray[np.float32]
    faces: NDArray[np.int32]


def build_mouth_sheet(
    landmarks: LandmarkEmbedding, faces: NDArray, num_vertices: int
) -> MouthSheet:
    """Build the sheet between the inner lips of a mesh, as `lite` has it.

    FLAME's lips run on inwards for two centimeters and end open. The sheet hangs from where a
    detector sees the lips' inner edges, so what it covers is what shows between them.

    Args:
        landmarks: where landmarks lie on the mesh; those of the inner lips are needed.
        faces: rows of the corners of each triangle. [F, 3]
        num_vertices: vertices of the mesh without the sheet.
    """
    # Means of the corners of the triangle that carries each landmark of the ring.
    row = {int(i): k for k, i in enumerate(landmarks.ids)}
    ring = np.zeros((2 * HALF_RING_LENGTH, num_vertices), np.float32)
    for k, point in enumerate(INNER_LIPS):
        np.add.at(ring[k], faces[landmarks.face_ids[row[point]]], landmarks.barycentric[row[point]])
    # Half way between each pair of lips, a point that lies deeper. The corners of the mouth have
    # none.
    upper = ring[1:HALF_RING_LENGTH]
    lower = ring[:HALF_RING_LENGTH:-1]
    follow = np.concatenate([ring, (upper + lower) / 2])
    shift = np.zeros((len(follow), 3), np.float32)
    shift[2 * HALF_RING_LENGTH :, 2] = -MOUTH_SHEET_DEPTH_METERS

    # Three rows from corner to corner: upper lip, depth, lower lip. Two strips of triangles join
    # them.
    over = [num_vertices + k for k in range(HALF_RING_LENGTH + 1)]
    under = [
        num_vertices,
        *(num_vertices + k for k in range(2 * HALF_RING_LENGTH - 1, HALF_RING_LENGTH, -1)),
        num_vertices + HALF_RING_LENGTH,
    ]
    middle = [
        num_vertices,
        *(num_vertices + 2 * HALF_RING_LENGTH + k for k in range(HALF_RING_LENGTH - 1)),
        num_vertices + HALF_RING_LENGTH,
    ]
    strips = triangulate_strip(over, middle) + triangulate_strip(middle, under)
    return MouthSheet(follow, shift, np.array(strips, np.int32))
