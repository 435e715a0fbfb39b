"""The cranium, and the skin that closes the face around the head and under the jaw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dubfew.synthetic.parts import (
    FACE_TILE,
    NUM_FACE_VERTICES,
    MeshPart,
    grid_faces,
    make_part,
)

# MediaPipe's face oval, from the forehead's middle over the image's right side and back.
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
# Height of the neck's upper end, which is hidden inside the head, m in head space.
NECK_TOP_Y_METERS = -0.05
# Half width and half depth of the neck, m: an adult's. The skin under the jaw ends inside it.
NECK_RADII_METERS = (0.064, 0.060)
# Distance from the ears to the back of the head, m: an adult's.
HEAD_BACK_DEPTH_METERS = 0.115
# Exponent of the superellipsoid. At 2 it is an ellipsoid, whose temples are too hollow; larger ones
# look like a box.
SUPERELLIPSOID_EXPONENT = 2.6
# Rings of skin from the face's edge to the back of the head or the neck.
NUM_SKIN_RINGS = 11


@dataclass(frozen=True)
class SkullModel:
    """A rounded box (a superellipsoid) through the upper edge of a face.

    Attributes:
        center: middle of the cranium, head space, m. [3]
        semi_axes: half of its width, height and depth, m. [3]
    """

    center: NDArray[np.float64]
    semi_axes: NDArray[np.float64]

    def surface_points(self, directions: NDArray, offset: NDArray | float = 0.0) -> NDArray:
        """Find where rays from the center leave the surface.

        Args:
            directions: directions of the rays, of any length. [..., 3]
            offset: distance beyond the surface, m; one for all rays or one each. [...]

        Returns:
            Points in head space, m. [..., 3]
        """
        unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        power = (np.abs(unit / self.semi_axes) ** SUPERELLIPSOID_EXPONENT).sum(-1, keepdims=True)
        radius = power ** (-1 / SUPERELLIPSOID_EXPONENT)
        return self.center + unit * (radius + np.asarray(offset)[..., None])


def fit_skull(face: NDArray) -> SkullModel:
    """Fit the cranium that belongs to a face at rest [468, 3]."""
    # The crown is 5 cm above the forehead's upper edge; the center lies about at the eyes.
    top = face[10, 1] + 0.050
    height = 0.092
    # Deep enough to pass through the forehead's edge and HEAD_BACK_DEPTH_METERS behind the ears.
    lift = (face[10, 1] - (top - height)) / height
    slope = (1 - lift**SUPERELLIPSOID_EXPONENT) ** (1 / SUPERELLIPSOID_EXPONENT)
    depth = (face[10, 2] + HEAD_BACK_DEPTH_METERS) / (1 + slope)
    center = np.array([0.0, top - height, depth - HEAD_BACK_DEPTH_METERS])
    width = np.abs(face[[251, 389, 356, 454, 21, 162, 127, 234], 0]).max() + 0.004
    return SkullModel(center, np.array([width, height, depth]))


def build_head_skin(face: NDArray, faces: NDArray, uv: NDArray, skull: SkullModel) -> MeshPart:
    """Build the face and the skin around it, as one mesh without a seam.

    The face's 468 vertices come first and follow the live face exactly. From the face's edge
    rings run over the cranium to its back, and under the jaw to the neck.

    Args:
        face: vertices of the face at rest, head space, m. [468, 3]
        faces: triangles of the face. [F, 3]
        uv: places of its vertices in the atlas, px. [468, 2]
        skull: cranium of this face.
    """
    oval = list(FACE_OVAL)
    steps = np.linspace(0, 1, NUM_SKIN_RINGS + 1)[1:]
    rings, count = len(steps), len(oval)
    share = np.zeros((rings, count))
    rest = np.zeros((rings, count, 3))
    shade = np.ones((rings, count))
    edge = face[oval]
    ears = face[[234, 454], 1].mean()
    # 1 where the face's edge is the jaw, 0 from the ears upwards.
    low = np.clip((ears - edge[:, 1]) / 0.02, 0, 1)[:, None]
    bend, throat = _throat_curve(edge)
    for ring, t in enumerate(steps):
        cranium = _cranium_ring(edge, skull, t)
        # Jaw: a curve that leaves the edge backwards and meets the neck.
        jaw = (1 - t) ** 2 * edge + 2 * t * (1 - t) * bend + t**2 * throat
        # Near the edge the skin follows the live face, further back it stays.
        share[ring] = (1 - t) ** 2
        rest[ring] = (1 - low) * cranium + low * jaw - share[ring][:, None] * edge
        # The jaw's shadow grows over the first third of the way.
        cast = jaw_shadow_factor(rest[ring, :, 1] + share[ring] * edge[:, 1])
        shade[ring] = 1 - (1 - cast) * low[:, 0] * min(1.0, t / 0.35)
    # Every ring vertex follows the vertex of the face's edge that it began at.
    follow = np.zeros((rings, count, NUM_FACE_VERTICES))
    follow[:, np.arange(count), oval] = share
    rows = np.concatenate([oval, NUM_FACE_VERTICES + np.arange(rings * count)]).reshape(-1, count)
    around = rows.ravel()[grid_faces(rings + 1, count, closed=True, flip=True)]
    tint = np.concatenate(
        [np.ones((NUM_FACE_VERTICES, 3)), shade.ravel()[:, None] ** np.array([0.8, 1.0, 1.05])]
    )
    return make_part(
        np.concatenate([faces, around]),
        np.concatenate([uv, _ring_uv(uv, steps)]),
        face_weights=csr_matrix(
            np.concatenate([np.eye(NUM_FACE_VERTICES), follow.reshape(-1, NUM_FACE_VERTICES)])
        ),
        rest_offset=np.concatenate([np.zeros((NUM_FACE_VERTICES, 3)), rest.reshape(-1, 3)]),
        tint=tint,
    )


def _throat_curve(edge: NDArray) -> tuple[NDArray, NDArray]:
    """Control points of the curves under the jaw, for points of the face's edge. [C, 3] each

    Under the jaw the skin runs back, then down along the neck and into it.
    """
    angle = np.clip(edge[:, 0] / 0.075, -1, 1) * 1.35
    throat = np.stack(
        [
            0.97 * NECK_RADII_METERS[0] * np.sin(angle),
            edge[:, 1] * 0.30 - 0.135,
            -0.045 + 0.97 * NECK_RADII_METERS[1] * np.cos(angle) - 0.010,
        ],
        1,
    )
    bend = throat * [1, 0, 1] + np.stack([0 * angle, edge[:, 1] - 0.006, 0 * angle + 0.008], 1)
    return bend, throat


def _cranium_ring(edge: NDArray, skull: SkullModel, t: float) -> NDArray:
    """A ring over the cranium, from the face's edge (t = 0) to the back (t = 1). [C, 3]

    The ray from the skull's center to the edge swings backwards, its length turning into the
    superellipsoid's.
    """
    ray = edge - skull.center
    away = np.array([0.0, -0.25, -1.0]) * np.linalg.norm(ray, axis=1, keepdims=True)
    swung = ray * np.cos(t * np.pi / 2) + away * np.sin(t * np.pi / 2)
    off_surface = edge - skull.surface_points(ray)
    return skull.surface_points(swung) + off_surface * max(0.0, 1 - t / 0.5) ** 2


def _ring_uv(face_uv: NDArray, steps: NDArray) -> NDArray:
    """Texture positions of the rings, px: from the face's edge straight outwards. [R * C, 2]"""
    edge = face_uv[list(FACE_OVAL)]
    out = edge - face_uv[[5]]
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    ring_uv = edge + out * 90 * steps[:, None, None]
    return np.clip(ring_uv.reshape(-1, 2), 2, FACE_TILE[2] - 2)


def jaw_shadow_factor(y: NDArray) -> NDArray[np.float64]:
    """Compute the fraction of light that the jaw leaves to skin at a height in head space (m).

    Skin and neck both use it, so that their shades agree where the meshes meet.

    Args:
        y: heights in head space, m. [...]

    Returns:
        Factors from 0.5 to 0.98. [...]
    """
    rise = np.clip((-0.128 - y) / 0.042, 0, 1)
    return 0.50 + 0.48 * rise * rise * (3 - 2 * rise)
