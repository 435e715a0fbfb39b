"""What surrounds the face: cranium, ears, neck, hair, shoulders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dubfew.synthetic.parts import (
    CLOTH_TILE,
    FACE_TILE,
    HAIR_TILE,
    NUM_FACE_VERTICES,
    SKIN_TILE,
    MeshPart,
    atlas_pixels_from_uv,
    grid_faces,
    grid_uv,
    join_parts,
    make_part,
)

# MediaPipe's face oval, from the forehead's middle over the image's right side and back.
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
NECK_TOP_Y_METERS, NECK_RADII_METERS = (
    -0.05,
    (0.064, 0.060),
)  # m: top inside the head, half width and depth
HEAD_BACK_DEPTH_METERS = 0.115  # m from the ears to the back of the head
SUPERELLIPSOID_EXPONENT = 2.6  # exponent; 2 would be an ellipsoid, whose temples are too hollow
# Hairline: polar angle from the crown at which hair ends, over azimuth from the front, degrees.
_HAIRLINE_AZIMUTHS_DEGREES = (0, 18, 36, 52, 62, 74, 84, 94, 106, 130, 180)
_HAIRLINE_POLAR_DEGREES = (64, 64, 63, 66, 77, 100, 95, 88, 110, 128, 132)


@dataclass(frozen=True)
class SkullModel:
    """Rounded box (a superellipsoid) through the upper edge of a face.

    Attributes:
        center: head space, m. [3]
        semi_axes: half lengths, m. [3]
    """

    center: NDArray[np.float64]
    semi_axes: NDArray[np.float64]

    def surface_points(self, directions: NDArray, offset: NDArray | float = 0.0) -> NDArray:
        """Where rays from the centre leave the surface, plus ``offset`` m. [..., 3]"""
        unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        power = (np.abs(unit / self.semi_axes) ** SUPERELLIPSOID_EXPONENT).sum(-1, keepdims=True)
        radius = power ** (-1 / SUPERELLIPSOID_EXPONENT)
        return self.center + unit * (radius + np.asarray(offset)[..., None])


def fit_skull(face: NDArray) -> SkullModel:
    """The cranium that belongs to a face at rest [468, 3]."""
    top = face[10, 1] + 0.050
    height = 0.092
    lift = (face[10, 1] - (top - height)) / height
    slope = (1 - lift**SUPERELLIPSOID_EXPONENT) ** (1 / SUPERELLIPSOID_EXPONENT)
    depth = (face[10, 2] + HEAD_BACK_DEPTH_METERS) / (1 + slope)
    centre = np.array([0.0, top - height, depth - HEAD_BACK_DEPTH_METERS])
    width = np.abs(face[[251, 389, 356, 454, 21, 162, 127, 234], 0]).max() + 0.004
    return SkullModel(centre, np.array([width, height, depth]))


def build_head_skin(face: NDArray, faces: NDArray, uv: NDArray, skull: SkullModel) -> MeshPart:
    """The face and the skin around it, as one mesh without a seam.

    The face's 468 vertices come first and follow the live face exactly. From the face's edge
    rings run over the cranium to its back, and under the jaw to the neck.

    Args:
        face: at rest. [468, 3]
        faces: its triangles. [F, 3]
        uv: of the face, atlas px. [468, 2]
        skull: of this face.
    """
    oval = list(FACE_OVAL)
    steps = np.linspace(0, 1, 12)[1:]
    rings, count = len(steps), len(oval)
    share = np.zeros((rings, count))
    rest = np.zeros((rings, count, 3))
    shade = np.ones((rings, count))
    edge = face[oval]
    ears = face[[234, 454], 1].mean()
    low = np.clip((ears - edge[:, 1]) / 0.02, 0, 1)[:, None]
    ray = edge - skull.center
    away = np.array([0.0, -0.25, -1.0]) * np.linalg.norm(ray, axis=1, keepdims=True)
    angle = np.clip(edge[:, 0] / 0.075, -1, 1) * 1.35
    # Under the jaw the skin runs back, then down along the neck and into it.
    throat = np.stack(
        [
            0.97 * NECK_RADII_METERS[0] * np.sin(angle),
            edge[:, 1] * 0.30 - 0.135,
            -0.045 + 0.97 * NECK_RADII_METERS[1] * np.cos(angle) - 0.010,
        ],
        1,
    )
    bend = throat * [1, 0, 1] + np.stack([0 * angle, edge[:, 1] - 0.006, 0 * angle + 0.008], 1)
    for ring, t in enumerate(steps):
        # Cranium: swing the ray backwards, its length turning into the ellipsoid's.
        swung = ray * np.cos(t * np.pi / 2) + away * np.sin(t * np.pi / 2)
        cranium = (
            skull.surface_points(swung)
            + (edge - skull.surface_points(ray)) * max(0.0, 1 - t / 0.5) ** 2
        )
        # Jaw: a curve that leaves the edge backwards and meets the neck.
        jaw = (1 - t) ** 2 * edge + 2 * t * (1 - t) * bend + t**2 * throat
        # Near the edge the skin follows the live face, further back it stays.
        share[ring] = (1 - t) ** 2
        rest[ring] = (1 - low) * cranium + low * jaw - share[ring][:, None] * edge
        cast = jaw_shadow_factor(rest[ring, :, 1] + share[ring] * edge[:, 1])
        shade[ring] = 1 - (1 - cast) * low[:, 0] * min(1.0, t / 0.35)
    follow = np.zeros((rings, count, NUM_FACE_VERTICES))
    follow[:, np.arange(count), oval] = share
    out = uv[oval] - uv[[5]]
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    ring_uv = uv[oval] + out * 90 * steps[:, None, None]
    rows = np.concatenate([oval, NUM_FACE_VERTICES + np.arange(rings * count)]).reshape(-1, count)
    around = rows.ravel()[grid_faces(rings + 1, count, closed=True, flip=True)]
    tint = np.concatenate(
        [np.ones((NUM_FACE_VERTICES, 3)), shade.ravel()[:, None] ** np.array([0.8, 1.0, 1.05])]
    )
    return make_part(
        np.concatenate([faces, around]),
        np.concatenate([uv, np.clip(ring_uv.reshape(-1, 2), 2, FACE_TILE[2] - 2)]),
        face_weights=csr_matrix(
            np.concatenate([np.eye(NUM_FACE_VERTICES), follow.reshape(-1, NUM_FACE_VERTICES)])
        ),
        rest_offset=np.concatenate([np.zeros((NUM_FACE_VERTICES, 3)), rest.reshape(-1, 3)]),
        tint=tint,
    )


def jaw_shadow_factor(y: NDArray) -> NDArray[np.float64]:
    """Share of the light that the jaw leaves to the skin at a height in head space (m).

    One function of the place for everything that lies there, so that meshes meet unseen.
    """
    rise = np.clip((-0.128 - y) / 0.042, 0, 1)
    return 0.50 + 0.48 * rise * rise * (3 - 2 * rise)


def _mirror_u(uv: NDArray) -> NDArray:
    """There and back along u, so that a closed strip has no texture seam."""
    return np.stack([1 - np.abs(2 * uv[:, 0] - 1), uv[:, 1]], 1)


def build_neck() -> MeshPart:
    """A column from inside the head down into the shirt."""
    rows, columns = 16, 40
    angle = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    height = np.linspace(0, 1, rows)
    flare = 1 + 0.45 * np.clip(height - 0.45, 0, 1) ** 2
    x = NECK_RADII_METERS[0] * np.outer(flare, np.sin(angle))
    z = -0.045 + NECK_RADII_METERS[1] * np.outer(flare, np.cos(angle)) - 0.02 * height[:, None]
    y = np.repeat((NECK_TOP_Y_METERS - 0.21 * height)[:, None], columns, 1)
    throat = np.exp(-((angle / 0.22) ** 2)) * 0.004
    z += np.outer(np.exp(-(((height - 0.52) / 0.10) ** 2)), throat)
    # Two tendons that run from behind the ears to the collar bones.
    for sign in (-1, 1):
        run = sign * (1.25 - 0.95 * height)
        ridge = np.exp(-(((angle[None, :] - run[:, None]) / 0.16) ** 2)) * 0.0045
        x += ridge * np.sin(angle)
        z += ridge * np.cos(angle)
    shade = jaw_shadow_factor(NECK_TOP_Y_METERS - 0.21 * height)
    colour = np.repeat(shade, columns)[:, None] ** np.array([0.85, 1.0, 1.05])
    return make_part(
        grid_faces(rows, columns, closed=True),
        atlas_pixels_from_uv(SKIN_TILE, _mirror_u(grid_uv(rows, columns))),
        rest_offset=np.stack([x, y, z], -1).reshape(-1, 3),
        body_weight=np.repeat(np.clip(height * 1.15, 0, 1) ** 1.5, columns),
        tint=colour,
        gloss=0.5,
    )


def build_ears(face: NDArray) -> MeshPart:
    """Two shells with a raised rim."""
    parts = []
    rows, columns = 14, 18
    grid = grid_uv(rows, columns)
    radius = grid[:, 1]
    angle = grid[:, 0] * 2 * np.pi
    for vertex, sign in ((454, 1.0), (234, -1.0)):
        out = np.where(radius < 0.82, 0.30 + 0.7 * (radius / 0.82) ** 2, 1.0)
        rim = 0.013 * out - 0.006 * np.clip((radius - 0.9) / 0.1, 0, 1)
        along = radius * np.cos(angle) * 0.016 * (1 - 0.25 * radius * np.sin(angle))
        up = radius * np.sin(angle) * 0.031
        lobe = np.clip(-np.sin(angle), 0, 1) * radius
        lean = 0.75  # the ear stands off the head, turned backwards
        x = rim * (1 - 0.6 * lobe) + (0.012 - along) * (1 - lean) * 1.6
        position = np.stack([sign * x, up, along * lean - 0.008 * radius * np.sin(angle)], 1)
        centre = face[vertex] + np.array([sign * -0.007, 0.004, -0.015])
        dark = (
            1
            - 0.55 * np.exp(-((radius / 0.42) ** 2))
            - 0.18 * np.exp(-(((radius - 0.72) / 0.1) ** 2))
        )
        red = dark[:, None] ** np.array([0.8, 1.1, 1.15]) * np.array([1.03, 0.9, 0.88])
        parts.append(
            make_part(
                grid_faces(rows, columns, flip=sign > 0),
                atlas_pixels_from_uv(SKIN_TILE, grid),
                rest_offset=position + centre,
                tint=red,
                gloss=0.5,
            )
        )
    return join_parts(parts)


def build_torso() -> MeshPart:
    """Shoulders and chest in a shirt with a ribbed collar."""
    rows, columns = 26, 56
    angle = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    v = np.linspace(0, 1, rows)
    # Outline from the collar over the trapezius and shoulder down the arm.
    stops = np.array([0, 0.05, 0.10, 0.3, 0.5, 0.62, 0.75, 1.0])
    width = np.interp(v, stops, [0.075, 0.082, 0.085, 0.130, 0.185, 0.212, 0.225, 0.228])
    depth = np.interp(v, stops, [0.071, 0.077, 0.080, 0.095, 0.110, 0.118, 0.125, 0.140])
    drop = np.interp(v, stops, [-0.186, -0.188, -0.200, -0.223, -0.242, -0.265, -0.31, -0.62])
    square = 0.75  # a superellipse: chests are flatter than ellipses
    sin, cos = np.sin(angle), np.cos(angle)
    x = np.outer(width, np.sign(sin) * np.abs(sin) ** square)
    z = np.outer(depth, np.sign(cos) * np.abs(cos) ** square) - 0.058
    y = np.repeat(drop[:, None], columns, 1)
    # The collar hangs lower in front, and the chest slopes forward.
    front = np.clip(cos, 0, 1) ** 2
    y -= np.outer(np.interp(v, [0, 0.1, 0.5, 1], [0.030, 0.030, 0.035, 0.0]), front)
    x[:2] *= 0.985
    shade = np.interp(v, [0, 0.02, 0.09, 0.11, 0.16, 1], [0.55, 1.0, 1.0, 0.62, 0.95, 1.0])
    uv = np.stack([np.tile(0.5 + angle / (2 * np.pi), rows), np.repeat(v, columns)], 1)
    return make_part(
        grid_faces(rows, columns, closed=True),
        atlas_pixels_from_uv(CLOTH_TILE, _mirror_u(uv)),
        rest_offset=np.stack([x, y, z], -1).reshape(-1, 3),
        body_weight=1.0,
        tint=np.repeat(shade, columns)[:, None] * np.ones(3),
        gloss=0.15,
    )


HAIR_MAX_POLAR_RADIANS = np.deg2rad(140.0)  # polar angle at the hair texture's lower edge


def hairline_polar_angle(azimuth: NDArray, shift: float) -> NDArray[np.float64]:
    """Polar angle from the crown at which hair ends, rad.

    Args:
        azimuth: from the front, rad.
        shift: how much higher than usual the hair begins at the front, rad.
    """
    edge = np.deg2rad(
        np.interp(np.abs(np.rad2deg(azimuth)), _HAIRLINE_AZIMUTHS_DEGREES, _HAIRLINE_POLAR_DEGREES)
    )
    return edge - shift * np.exp(-((azimuth / np.deg2rad(50)) ** 4))


def build_hair_cap(
    skull: SkullModel, thickness: float, shift: float, rng: np.random.Generator
) -> MeshPart:
    """A shell over the cranium; the texture's alpha cuts the hairline."""
    rows, columns = 40, 72
    polar = np.linspace(0.0, HAIR_MAX_POLAR_RADIANS, rows)
    azimuth = np.linspace(-np.pi, np.pi, columns)
    sin = np.sin(polar)[:, None]
    direction = np.stack(
        [
            sin * np.sin(azimuth),
            np.repeat(np.cos(polar)[:, None], columns, 1),
            sin * np.cos(azimuth),
        ],
        -1,
    )
    lumps = sum(
        np.sin(polar[:, None] * k + phase) * np.cos(azimuth * j + other)
        for k, j, phase, other in zip(
            (3, 5, 8), (2, 3, 5), rng.uniform(0, 6, 3), rng.uniform(0, 6, 3), strict=True
        )
    )
    # Hair rises from the skin at the hairline to its full thickness.
    near = np.min(
        [hairline_polar_angle(azimuth + d, shift) for d in np.deg2rad((-30, -15, 0, 15, 30))], 0
    )
    rise = np.clip((near - polar[:, None]) / 0.55 + 0.12, 0.06, 1)
    # At the temples it lies close, or the face would show a gap beside it.
    side = np.exp(-(((np.abs(azimuth) - np.deg2rad(72)) / np.deg2rad(34)) ** 4))
    rise *= 1 - 0.85 * side * np.clip((polar[:, None] - 0.6) / 0.5, 0, 1)
    grow = 0.0015 + thickness * (1 + 0.10 * lumps) * np.sin(rise * np.pi / 2)
    uv = np.stack(
        np.meshgrid(azimuth / (2 * np.pi) + 0.5, polar / HAIR_MAX_POLAR_RADIANS * 0.495), -1
    )
    return make_part(
        grid_faces(rows, columns),
        atlas_pixels_from_uv(HAIR_TILE, uv.reshape(-1, 2)),
        rest_offset=skull.surface_points(direction, grow).reshape(-1, 3),
        gloss=1.0,
    )


def build_hair_curtain(skull: SkullModel, length: float) -> MeshPart:
    """Long hair: a sheet that hangs from the cranium's widest line, open at the face."""
    rows, columns = 24, 60
    azimuth = np.linspace(np.deg2rad(63), np.deg2rad(297), columns)
    v = np.linspace(0, 1, rows)[:, None]
    # It begins inside the cap and swings out below the ears.
    spread = 0.93 + 0.22 * np.sin(np.pi / 2 * np.clip(v / 0.45, 0, 1)) - 0.08 * v**2
    x = skull.semi_axes[0] * spread * np.sin(azimuth) * 1.06
    z = skull.center[2] + skull.semi_axes[2] * (spread - 0.12 * v) * np.cos(azimuth) * 1.02
    y = np.repeat(skull.center[1] + 0.045 - v * (length + 0.025), columns, 1)
    uv = np.stack(
        [
            np.repeat(np.linspace(0.02, 0.98, columns)[None], rows, 0),
            np.repeat(0.51 + 0.48 * v, columns, 1),
        ],
        -1,
    )
    shade = np.interp(v.ravel(), [0, 0.3, 1.0], [1.0, 0.9, 0.7])
    return make_part(
        grid_faces(rows, columns),
        atlas_pixels_from_uv(HAIR_TILE, uv.reshape(-1, 2)),
        rest_offset=np.stack([x, y, z], -1).reshape(-1, 3),
        body_weight=np.repeat(np.clip(v.ravel() - 0.5, 0, 1) * 0.6, columns),
        tint=np.repeat(shade, columns)[:, None] * np.ones(3),
        gloss=0.8,
    )
