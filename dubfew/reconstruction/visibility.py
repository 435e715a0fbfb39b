"""Frames that are to be left as they are, and why: turned away, cut by the edge, covered."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.crop import rotations
from dubfew.reconstruction.fitting import FLIP
from dubfew.reconstruction.track import CUT_BY_EDGE, TURNED

# Between where the face points and the camera, rad: beyond it half of the mouth is not seen.
FARTHEST_TURN = np.deg2rad(60)
# So much of the mouth's region may lie outside of the picture: that is, the lower edge of a chin.
MOST_OUTSIDE = 0.25
# Single frames between flagged ones are flagged, too, and the other way round: what is painted for
# fewer frames than this flickers.
SHORTEST = 3


def geometric_flags(
    rotation: NDArray,  # [N, 3] rad
    translation: NDArray,  # [N, 3] m
    hull: NDArray,  # [N, 48, 2] px
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """``TURNED`` and ``CUT_BY_EDGE`` of frames with a face. [N]"""
    turned = steady(turn(rotation, translation) > FARTHEST_TURN)
    cut = steady(outside(hull, size) > MOST_OUTSIDE)
    return (turned * TURNED + cut * CUT_BY_EDGE).astype(np.uint8)


def turn(rotation: NDArray, translation: NDArray) -> NDArray[np.float32]:
    """Angle between where the face points and the way to the camera, rad. [N]"""
    points = (FLIP @ rotations(rotation))[..., 2]
    camera = -translation / np.linalg.norm(translation, axis=1, keepdims=True)
    return np.arccos(np.clip((points * camera).sum(1), -1, 1)).astype(np.float32)


def outside(hull: NDArray, size: tuple[int, int]) -> NDArray[np.float32]:
    """Share of each convex hull [N, K, 2] (px) that lies outside of the picture. [N]"""
    centre = hull.mean(1, keepdims=True)
    following = np.roll(hull, -1, 1)
    a, b = hull - centre, following - centre
    area = np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
    # The middles of rings of equal area in each of the triangles around the centre.
    reach = np.sqrt((np.arange(8) + 0.5) / 8)[:, None, None, None]
    points = centre + reach * (a + b) / 2
    out = ((points < 0) | (points > np.array(size))).any(-1).mean(0)
    return ((out * area).sum(1) / np.maximum(area.sum(1), 1e-9)).astype(np.float32)


def steady(flagged: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same, with gaps and stretches shorter than ``SHORTEST`` frames taken out. [N]"""
    result = flagged.copy()
    for value in (True, False):  # gaps first: what is left of a stretch may then be long enough
        edges = np.flatnonzero(np.diff(result, prepend=not result[0], append=not result[-1]))
        for first, stop in pairwise(edges):
            inner = first > 0 and stop < len(result)
            if inner and result[first] != value and stop - first < SHORTEST:
                result[first:stop] = value
    return result
