"""Hair as two sheets around the skull: a cap, and long hair that hangs from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.synthetic.parts import (
    HAIR_TILE,
    MeshPart,
    atlas_pixels_from_uv,
    grid_faces,
    make_part,
)
from dubfew.synthetic.skull import SkullModel

# Hairline: polar angle from the crown at which hair ends, over azimuth from the front, degrees. It
# is high at the forehead, comes down before the ear, rises around it and reaches the nape.
_HAIRLINE_AZIMUTHS_DEGREES = (0, 18, 36, 52, 62, 74, 84, 94, 106, 130, 180)
_HAIRLINE_POLAR_DEGREES = (64, 64, 63, 66, 77, 100, 95, 88, 110, 128, 132)
# Polar angle from the crown at the lower edge of the cap and of its texture, rad: lower
# than any hairline.
HAIR_MAX_POLAR_RADIANS = np.deg2rad(140.0)


def hairline_polar_angle(azimuth: NDArray, shift: float) -> NDArray[np.float64]:
    """Compute the polar angle from the crown at which hair ends, rad.

    Args:
        azimuth: angle around the head from the front, rad, of any shape.
        shift: how much higher than usual the hair begins at the front, rad.

    Example:
        >>> np.rad2deg(hairline_polar_angle(np.array([0.0, np.pi]), 0.0)).round(1).tolist()
        [64.0, 132.0]
    """
    edge = np.deg2rad(
        np.interp(np.abs(np.rad2deg(azimuth)), _HAIRLINE_AZIMUTHS_DEGREES, _HAIRLINE_POLAR_DEGREES)
    )
    return edge - shift * np.exp(-((azimuth / np.deg2rad(50)) ** 4))


def build_hair_cap(
    skull: SkullModel, thickness: float, shift: float, rng: np.random.Generator
) -> MeshPart:
    """Build a shell over the cranium; the texture's alpha cuts the hairline.

    Args:
        skull: cranium that the shell covers.
        thickness: height of the hair over it, m.
        shift: how much higher than usual the hair begins at the front, rad.
        rng: source of its lumps.
    """
    # A grid in spherical coordinates around the skull's center.
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
    # Waves of three lengths, so that the outline is no ellipse.
    lumps = sum(
        np.sin(polar[:, None] * k + phase) * np.cos(azimuth * j + other)
        for k, j, phase, other in zip(
            (3, 5, 8), (2, 3, 5), rng.uniform(0, 6, 3), rng.uniform(0, 6, 3), strict=True
        )
    )
    # Hair rises from the skin at the hairline to its full thickness. The hairline nearest to the
    # crown within 30 degrees counts, so that the shell does not rise abruptly beside it.
    near = np.min(
        [hairline_polar_angle(azimuth + d, shift) for d in np.deg2rad((-30, -15, 0, 15, 30))], 0
    )
    rise = np.clip((near - polar[:, None]) / 0.55 + 0.12, 0.06, 1)
    # At the temples it lies close, or the face would show a gap beside it.
    side = np.exp(-(((np.abs(azimuth) - np.deg2rad(72)) / np.deg2rad(34)) ** 4))
    rise *= 1 - 0.85 * side * np.clip((polar[:, None] - 0.6) / 0.5, 0, 1)
    # Nowhere closer to the skin than 1.5 mm, or skin would show through.
    grow = 0.0015 + thickness * (1 + 0.10 * lumps) * np.sin(rise * np.pi / 2)
    # The texture's upper half is the cap.
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
    """Build long hair: a sheet that hangs from the cranium's widest line, open at the face.

    Args:
        skull: cranium that it hangs from.
        length: from the height of the ears down, m.
    """
    rows, columns = 24, 60
    # From behind one cheek around the back to the other.
    azimuth = np.linspace(np.deg2rad(63), np.deg2rad(297), columns)
    v = np.linspace(0, 1, rows)[:, None]
    # It begins inside the cap and swings out below the ears.
    spread = 0.93 + 0.22 * np.sin(np.pi / 2 * np.clip(v / 0.45, 0, 1)) - 0.08 * v**2
    x = skull.semi_axes[0] * spread * np.sin(azimuth) * 1.06
    z = skull.center[2] + skull.semi_axes[2] * (spread - 0.12 * v) * np.cos(azimuth) * 1.02
    y = np.repeat(skull.center[1] + 0.045 - v * (length + 0.025), columns, 1)
    # The texture's lower half hangs.
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
