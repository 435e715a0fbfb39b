"""Frames that are to be left as they are, and why: turned away, cut by the edge, covered."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.heads.head_model import load_head
from dubfew.reconstruction.track import CUT_BY_EDGE, TURNED

# Between where the face points and the camera half of the mouth is hidden from about 60 degrees on.
# The detector sees profiles less turned than they are: 51 where it is 60, and never more than 61.
FARTHEST_TURN = np.deg2rad(51)
# What neither jaw nor expression moves much: forehead, temples, before the ears, eyes, nose.
RIGID = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 127, 162, 21, 54, 103, 67, 109, 234, 93,
    132, 9, 8, 168, 6, 197, 195, 5, 4, 1, 33, 133, 362, 263, 151,
)  # fmt: skip
# So much of the mouth's region may lie outside of the picture: that is, the lower edge of a chin.
MOST_OUTSIDE = 0.25
# Single frames between flagged ones are flagged, too, and the other way round: what is painted for
# fewer frames than this flickers.
SHORTEST = 3
BLOCK = 256  # frames whose points are held at once


def geometric_flags(
    landmarks: NDArray,  # [N, 478, 3] px
    hull: NDArray,  # [N, 48, 2] px
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """``TURNED`` and ``CUT_BY_EDGE`` of frames with a face. [N]"""
    turned = steady(turn(landmarks) > FARTHEST_TURN)
    cut = steady(outside(hull, size) > MOST_OUTSIDE)
    return (turned * TURNED + cut * CUT_BY_EDGE).astype(np.uint8)


def turn(landmarks: NDArray) -> NDArray[np.float32]:
    """Angle between where the face points and the way to the camera, rad. [N]

    Of the rotation that brings a mean head nearest to the landmarks [N, 478, 3] (px, with their
    depth). A fitted head follows a profile less far: its outline counts for more than its depth.

    Source: Kabsch 1976.
    """
    head = load_head()
    mean = (head.points(RIGID) @ head.template).astype(np.float64) * [1, -1, -1]
    mean -= mean.mean(0)
    result = np.empty(len(landmarks), np.float32)
    for start in range(0, len(landmarks), BLOCK):
        seen = landmarks[start : start + BLOCK, list(RIGID)].astype(np.float64)
        u, _, v = np.linalg.svd((seen - seen.mean(1, keepdims=True)).transpose(0, 2, 1) @ mean)
        u[..., 2] *= np.sign(np.linalg.det(u @ v))[:, None]
        result[start : start + BLOCK] = np.arccos(np.clip((u @ v)[:, 2, 2], -1, 1))
    return result


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
