"""Ears, neck and shoulders: what does not move with the face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.synthetic.parts import (
    CLOTH_TILE,
    SKIN_TILE,
    MeshPart,
    atlas_pixels_from_uv,
    grid_faces,
    grid_uv,
    join_parts,
    make_part,
)
from dubfew.synthetic.skull import NECK_RADII_METERS, NECK_TOP_Y_METERS, jaw_shadow_factor


def _mirror_u(uv: NDArray) -> NDArray:
    """Run u there and back, so that a closed strip has no texture seam. [V, 2]"""
    return np.stack([1 - np.abs(2 * uv[:, 0] - 1), uv[:, 1]], 1)


def build_neck() -> MeshPart:
    """Build the neck: a column from inside the head down into the shirt."""
    rows, columns = 16, 40
    angle = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    height = np.linspace(0, 1, rows)
    # It widens towards the shoulders and runs backwards on its way down.
    flare = 1 + 0.45 * np.clip(height - 0.45, 0, 1) ** 2
    x = NECK_RADII_METERS[0] * np.outer(flare, np.sin(angle))
    z = -0.045 + NECK_RADII_METERS[1] * np.outer(flare, np.cos(angle)) - 0.02 * height[:, None]
    y = np.repeat((NECK_TOP_Y_METERS - 0.21 * height)[:, None], columns, 1)
    # The larynx, half way down in front.
    throat = np.exp(-((angle / 0.22) ** 2)) * 0.004
    z += np.outer(np.exp(-(((height - 0.52) / 0.10) ** 2)), throat)
    # Two tendons that run from behind the ears to the collar bones.
    for sign in (-1, 1):
        run = sign * (1.25 - 0.95 * height)
        ridge = np.exp(-(((angle[None, :] - run[:, None]) / 0.16) ** 2)) * 0.0045
        x += ridge * np.sin(angle)
        z += ridge * np.cos(angle)
    shade = jaw_shadow_factor(NECK_TOP_Y_METERS - 0.21 * height)
    color = np.repeat(shade, columns)[:, None] ** np.array([0.85, 1.0, 1.05])
    return make_part(
        grid_faces(rows, columns, closed=True),
        atlas_pixels_from_uv(SKIN_TILE, _mirror_u(grid_uv(rows, columns))),
        rest_offset=np.stack([x, y, z], -1).reshape(-1, 3),
        # The upper end moves with the head, the lower with the body.
        body_weight=np.repeat(np.clip(height * 1.15, 0, 1) ** 1.5, columns),
        tint=color,
        gloss=0.5,
    )


def build_ears(face: NDArray) -> MeshPart:
    """Build both ears of a face at rest [468, 3]: shells with a raised rim."""
    parts = []
    # A disk in polar coordinates: radius 0 at the ear canal, 1 at the rim's outer edge.
    rows, columns = 14, 18
    grid = grid_uv(rows, columns)
    radius = grid[:, 1]
    angle = grid[:, 0] * 2 * np.pi
    for vertex, sign in ((454, 1.0), (234, -1.0)):
        # How far the shell stands off the head: a bowl with a rim that is folded back.
        out = np.where(radius < 0.82, 0.30 + 0.7 * (radius / 0.82) ** 2, 1.0)
        rim = 0.013 * out - 0.006 * np.clip((radius - 0.9) / 0.1, 0, 1)
        # An ear is twice as high as it is deep; its lower end, the lobe, lies flat.
        along = radius * np.cos(angle) * 0.016 * (1 - 0.25 * radius * np.sin(angle))
        up = radius * np.sin(angle) * 0.031
        lobe = np.clip(-np.sin(angle), 0, 1) * radius
        lean = 0.75  # the ear stands off the head, turned backwards
        x = rim * (1 - 0.6 * lobe) + (0.012 - along) * (1 - lean) * 1.6
        position = np.stack([sign * x, up, along * lean - 0.008 * radius * np.sin(angle)], 1)
        center = face[vertex] + np.array([sign * -0.007, 0.004, -0.015])
        # Dark in the canal and in the groove along the rim.
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
                rest_offset=position + center,
                tint=red,
                gloss=0.5,
            )
        )
    return join_parts(parts)


def build_torso() -> MeshPart:
    """Build shoulders and chest in a shirt with a ribbed collar."""
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
    # Shadows at the collar's edge and below it.
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
