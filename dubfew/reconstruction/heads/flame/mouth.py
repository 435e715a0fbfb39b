"""A sheet that closes FLAME's mouth: teeth and tongue need a surface to be looked up by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.heads.flame.landmarks import Embedding
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS
from dubfew.reconstruction.heads.mesh_strips import strip

DEPTH = 0.008  # m behind the lips: where the teeth are; the same as in `lite`
HALF = len(INNER_LIPS) // 2


@dataclass(frozen=True)
class Filling:
    """Vertices and faces to append to a mesh.

    Attributes:
        follow: new vertices as means of old ones: one at each inner-lip landmark, in the order of
            ``INNER_LIPS``, and one half way between each pair of upper and lower lip. [29, V]
        shift: added to that, m. [29, 3]
        faces: into the longer list of vertices. [36, 3]
    """

    follow: NDArray[np.float32]
    shift: NDArray[np.float32]
    faces: NDArray[np.int32]


def fill_mouth(landmarks: Embedding, faces: NDArray, count: int) -> Filling:
    """The sheet between the inner lips of a mesh with ``count`` vertices, as `lite` has it.

    FLAME's lips run on inwards for two centimetres and end open. The sheet hangs from where a
    detector sees the lips' inner edges, so what it covers is what shows between them.
    """
    row = {int(i): k for k, i in enumerate(landmarks.ids)}
    ring = np.zeros((2 * HALF, count), np.float32)
    for k, point in enumerate(INNER_LIPS):
        np.add.at(ring[k], faces[landmarks.faces[row[point]]], landmarks.barycentric[row[point]])
    upper = ring[1:HALF]
    lower = ring[:HALF:-1]
    follow = np.concatenate([ring, (upper + lower) / 2])
    shift = np.zeros((len(follow), 3), np.float32)
    shift[2 * HALF :, 2] = -DEPTH

    over = [count + k for k in range(HALF + 1)]
    under = [count, *(count + k for k in range(2 * HALF - 1, HALF, -1)), count + HALF]
    middle = [count, *(count + 2 * HALF + k for k in range(HALF - 1)), count + HALF]
    strips = strip(over, middle) + strip(middle, under)
    return Filling(follow, shift, np.array(strips, np.int32))
