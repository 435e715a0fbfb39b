"""The mouth's inside: teeth one by one, gums, tongue and the dark cavity behind them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS
from dubfew.synthetic.parts import (
    MOUTH_TILE,
    NUM_FACE_VERTICES,
    MeshPart,
    atlas_pixels_from_uv,
    grid_faces,
    grid_uv,
    join_parts,
    linear_color,
    make_part,
)

# Crown widths and heights of the upper and lower teeth from the middle outwards, m: adults' mean
# values. Six on each side: a smile shows no more.
UPPER_CROWN_WIDTHS_METERS = (0.0086, 0.0068, 0.0077, 0.0070, 0.0068, 0.0098)
UPPER_CROWN_HEIGHTS_METERS = (0.0102, 0.0088, 0.0097, 0.0082, 0.0075, 0.0068)
LOWER_CROWN_WIDTHS_METERS = (0.0053, 0.0059, 0.0068, 0.0070, 0.0072, 0.0105)
LOWER_CROWN_HEIGHTS_METERS = (0.0088, 0.0090, 0.0098, 0.0085, 0.0078, 0.0070)
# Depth of the incisors behind the inner lips' front. Closer, teeth would come through pursed lips.
INCISOR_DEPTH_METERS = 0.0065
# Grid of vertices of one crown.
CROWN_ROWS, CROWN_COLUMNS = 7, 6
# Gap between two crowns at their widest, and of the first from the middle.
CROWN_GAP_METERS, MIDLINE_GAP_METERS = 0.00008, 0.00012
# The dental arch is bent by this factor more than the lips before it.
ARCH_OVER_LIP_CURVATURE = 1.12


def _dental_arch_points(distance: NDArray, arch_curvature: float) -> tuple[NDArray, NDArray]:
    """Points x, z (m) of the arch z = -arch_curvature x² at signed lengths from its middle."""
    # The parabola's length has a closed form, its inverse has not: tabulate it.
    x = np.linspace(0, 0.05, 500)
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(-arch_curvature * x**2)))])
    across = np.interp(np.abs(distance), length, x) * np.sign(distance)
    return across, -arch_curvature * across**2


def _build_crown(
    middle: float, width: float, height: float, growth_sign: float, arch_curvature: float
) -> NDArray:
    """A crown as a bulged sheet, its biting edge at y = 0, its gum at ``growth_sign``. [42, 3]"""
    uv = grid_uv(CROWN_ROWS, CROWN_COLUMNS)
    u, v = uv[:, 0] * 2 - 1, uv[:, 1]  # v: 0 at the biting edge, 1 at the gum
    # Crowns are widest at the contact point and narrow towards gum and corners.
    half = width / 2 * (0.97 - 0.16 * v**2 - 0.10 * np.clip(0.16 - v, 0, 1) / 0.16)
    distance = middle + u * half
    x, z = _dental_arch_points(distance, arch_curvature)
    # It bulges by 1.6 mm, most at a quarter of its height.
    z = z + 0.0016 * np.cos(u * 1.25) * np.sin(np.pi * np.clip(0.25 + 0.6 * v, 0, 1))
    # Sides turn away, so that the gap between two teeth is dark.
    z = z - 0.0016 * np.abs(u) ** 5
    # Round corners at the biting edge, and an arched line at the gum.
    round_corner = 0.0009 * np.abs(u) ** 4 * (1 - v) ** 6
    arch_top = 0.0012 * u**2 * v**4
    return np.stack([x, growth_sign * (v * height + round_corner - arch_top), z], 1)


def _build_teeth(
    front: NDArray,
    arch_curvature: float,
    widths: tuple[float, ...],
    heights: tuple[float, ...],
    growth_sign: float,
    jaw_weight: float,
    enamel_color: NDArray,
    rng: np.random.Generator,
) -> MeshPart:
    """One row of twelve teeth, those of one side from the middle outwards, then the other's."""
    parts = []
    uv = grid_uv(CROWN_ROWS, CROWN_COLUMNS)
    flip = growth_sign > 0  # rows of the upper crowns run upwards
    for side in (-1.0, 1.0):
        edge = MIDLINE_GAP_METERS
        for index, (width, height) in enumerate(zip(widths, heights, strict=True)):
            middle = side * (edge + width / 2)
            edge += width + CROWN_GAP_METERS
            position = _build_crown(
                middle, width, height * rng.uniform(0.94, 1.05), growth_sign, arch_curvature
            )
            # No two people's teeth stand alike: a little tilt, height and depth by chance. The
            # second incisor is shorter.
            tilt = rng.normal(0, 0.02)
            position[:, 1] += (position[:, 0] - position[:, 0].mean()) * tilt
            position[:, 1] += rng.normal(0, 0.00018) + growth_sign * (0.0004 if index == 1 else 0.0)
            position[:, 2] += rng.normal(0, 0.0002)
            # Darker towards the cheeks, at the sides and at the gum; yellower at the gum.
            depth = 0.92 - 0.13 * index
            u, v = np.abs(uv[:, 0] * 2 - 1), uv[:, 1]
            shade = depth * (1 - 0.50 * u**6) * (1 - 0.22 * v**3) * (0.90 + 0.10 * np.sqrt(v))
            warm = np.stack([0 * v, 0.06 * v**2, 0.20 * v**2], 1)
            canine = 0.94 if index == 2 else 1.0
            parts.append(
                make_part(
                    grid_faces(CROWN_ROWS, CROWN_COLUMNS, flip=flip),
                    atlas_pixels_from_uv(MOUTH_TILE, uv * [0.2, 1] + [0.13 * index, 0]),
                    rest_offset=position + front,
                    jaw_weight=jaw_weight,
                    tint=shade[:, None]
                    * (1 - warm)
                    * enamel_color
                    * canine
                    * rng.uniform(0.95, 1.04),
                    gloss=1.6,
                )
            )
    return join_parts(parts)


def _build_gum(
    front: NDArray,
    arch_curvature: float,
    heights: tuple[float, ...],
    growth_sign: float,
    jaw_weight: float,
    gum_color: NDArray,
) -> MeshPart:
    """A band behind the crowns' gum ends, whose rounded shapes make it look scalloped."""
    rows, columns = 6, 41
    uv = grid_uv(rows, columns)
    x, z = _dental_arch_points((uv[:, 0] * 2 - 1) * 0.040, arch_curvature)
    v = uv[:, 1]
    # It begins behind the crowns and bulges beyond them.
    bulge = 0.0020 * np.sin(np.pi * np.clip(v * 1.3, 0, 1))
    y = growth_sign * (np.mean(heights[:3]) * 0.62 + v * 0.016)
    shade = (0.75 - 13 * np.abs(x)) * (1 - 0.4 * v)
    return make_part(
        grid_faces(rows, columns, flip=growth_sign > 0),
        atlas_pixels_from_uv(MOUTH_TILE, uv),
        rest_offset=np.stack([x, y, z - 0.0012 + bulge], 1) + front,
        jaw_weight=jaw_weight,
        tint=np.clip(shade, 0.1, 1)[:, None] * gum_color,
        gloss=1.3,
    )


def _build_tongue(front: NDArray, color: NDArray) -> MeshPart:
    """A tongue at rest behind the lower teeth, with a groove along its middle."""
    rows, columns = 14, 20
    uv = grid_uv(rows, columns)
    along = uv[:, 1] * np.pi * 0.62  # from the tip over the back
    across = (uv[:, 0] * 2 - 1) * np.pi / 2
    x = 0.0225 * np.sin(across) * np.sqrt(np.clip(np.sin(along * 0.9 + 0.25), 0, 1))
    lift = 0.0085 * np.cos(across) * np.sin(along + 0.2)
    groove = 0.0022 * np.exp(-((x / 0.004) ** 2)) * uv[:, 1]
    y = lift - groove
    z = -0.042 * uv[:, 1] - 14 * x**2
    shade = (1 - 0.55 * uv[:, 1]) * (0.75 + 0.25 * np.cos(across))
    return make_part(
        grid_faces(rows, columns, flip=True),
        atlas_pixels_from_uv(MOUTH_TILE, uv),
        rest_offset=np.stack([x, y, z], 1) + front + np.array([0, 0.0015, -0.006]),
        jaw_weight=1.0,
        tint=shade[:, None] * color,
        gloss=1.4,
    )


def _build_cavity(face: NDArray, color: NDArray) -> MeshPart:
    """A bag from the inner lips backwards: the lips' wet insides first, then black."""
    ring = list(INNER_LIPS)
    lips = face[ring]
    middle = lips.mean(0)
    # It starts a little behind the lips and beyond their edge: no crack may show between.
    steps = (  # back, out (m), brightness
        (0.0010, 0.0012, 0.62),
        (0.0035, 0.0015, 0.45),
        (0.010, 0.012, 0.14),
        (0.024, 0.013, 0.03),
        (0.045, 0.004, 0.004),
    )
    side = np.zeros((len(ring), 3))
    # The upper row goes upwards, the lower one downwards, not so far: the chin is thin.
    side[:10, 1], side[11:, 1] = 1, -0.5
    side[0], side[10] = (-0.5, 0, 0), (0.5, 0, 0)
    # All rings but the last follow the live lips; the last one closes the bag in one point.
    rest, shade = [], []
    for back, out, light in steps:
        rest.append(side * out + np.array([0, 0, -back]))
        shade.append(np.full(len(ring), light))
    count, rows = len(ring), len(steps) + 1
    follow = np.tile(np.eye(NUM_FACE_VERTICES)[ring], (rows, 1))
    follow[-count:] = 0
    rest.append(np.tile(middle + np.array([0, 0, -0.05]), (count, 1)))
    shade.append(np.full(count, 0.002))
    return make_part(
        grid_faces(rows, count, closed=True),
        atlas_pixels_from_uv(MOUTH_TILE, grid_uv(rows, count)),
        face_weights=csr_matrix(follow),
        rest_offset=np.concatenate(rest),
        tint=np.concatenate(shade)[:, None] * color,
        gloss=np.repeat([1.0, 1.2, 0.4, 0.1, 0.0, 0.0], count),
    )


def build_mouth_interior(face: NDArray, rng: np.random.Generator) -> MeshPart:
    """Build all of the mouth's inside.

    Args:
        face: face at rest with its lips closed, head space, m. [468, 3]
        rng: source of what differs between people: teeth, and the colors of enamel and gum.
    """
    upper_lip, lower_lip = face[13], face[14]
    # The dental arch follows the curve of the lips before it: z falls by ``fall`` at their corners.
    corners = face[[78, 308]]
    fall = lower_lip[2] - corners[:, 2].mean()
    curve = ARCH_OVER_LIP_CURVATURE * fall / (np.linalg.norm(corners[0] - corners[1]) / 2) ** 2
    front = np.array(
        [
            corners[:, 0].mean(),
            (upper_lip[1] + lower_lip[1]) / 2,
            lower_lip[2] - INCISOR_DEPTH_METERS,
        ]
    )
    # The biting edges lie a little below the lips' line; enamel is white to yellow.
    edge = front + np.array([0, rng.uniform(-0.0022, -0.0002), 0])
    yellow = rng.uniform(0, 1)
    enamel = linear_color(0.93, 0.90 - 0.03 * yellow, 0.84 - 0.10 * yellow)
    gum = linear_color(0.74, 0.40, 0.40) * rng.uniform(0.8, 1.05)
    # Upper incisors stand before the lower ones and nearly touch them.
    lower = edge + np.array([0, 0.0002, -0.0026])
    return join_parts(
        [
            _build_cavity(face, linear_color(0.62, 0.27, 0.26)),
            _build_gum(edge, curve, UPPER_CROWN_HEIGHTS_METERS, 1.0, 0.0, gum),
            _build_gum(
                lower + np.array([0, 0, -0.0004]), curve, LOWER_CROWN_HEIGHTS_METERS, -1.0, 1.0, gum
            ),
            _build_tongue(lower + np.array([0, -0.0095, -0.005]), linear_color(0.66, 0.35, 0.35)),
            _build_teeth(
                edge,
                curve,
                UPPER_CROWN_WIDTHS_METERS,
                UPPER_CROWN_HEIGHTS_METERS,
                1.0,
                0.0,
                enamel,
                rng,
            ),
            _build_teeth(
                lower,
                curve,
                LOWER_CROWN_WIDTHS_METERS,
                LOWER_CROWN_HEIGHTS_METERS,
                -1.0,
                1.0,
                enamel * 0.93,
                rng,
            ),
        ]
    )
