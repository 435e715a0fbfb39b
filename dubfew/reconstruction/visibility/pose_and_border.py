"""Frames that are to be left as they are, and why: turned away, cut by the edge, covered."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import FLAG_CUT_BY_EDGE, FLAG_TURNED_AWAY

# Between where the face points and the camera half of the mouth is hidden from about 60 degrees on.
# The detector sees profiles less turned than they are: 51 where it is 60, and never more than 61.
MAX_TURN_RADIANS = np.deg2rad(51)
# What neither jaw nor expression moves much: forehead, temples, before the ears, eyes, nose.
RIGID_FACE_LANDMARKS = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 127, 162, 21, 54, 103, 67, 109, 234, 93,
    132, 9, 8, 168, 6, 197, 195, 5, 4, 1, 33, 133, 362, 263, 151,
)  # fmt: skip
# So much of the mouth's region may lie outside of the picture: that is, the lower edge of a chin.
MAX_OUTSIDE_FRACTION = 0.25
# Single frames between flagged ones are flagged, too, and the other way round: what is painted for
# fewer frames than this flickers.
MIN_RUN_FRAMES = 3
ROTATION_BLOCK_FRAMES = 256  # frames whose points are held at once


def compute_geometric_flags(
    landmarks: NDArray,  # [N, 478, 3] px
    hull: NDArray,  # [N, 48, 2] px
    frame_size: tuple[int, int],
) -> NDArray[np.uint8]:
    """``FLAG_TURNED_AWAY`` and ``FLAG_CUT_BY_EDGE`` of frames with a face. [N]"""
    turned = remove_short_runs(estimate_turn_angle(landmarks) > MAX_TURN_RADIANS)
    cut = remove_short_runs(measure_outside_fraction(hull, frame_size) > MAX_OUTSIDE_FRACTION)
    return (turned * FLAG_TURNED_AWAY + cut * FLAG_CUT_BY_EDGE).astype(np.uint8)


def estimate_turn_angle(landmarks: NDArray) -> NDArray[np.float32]:
    """Angle between where the face points and the way to the camera, rad. [N]

    Of the rotation that brings a mean head nearest to the landmarks [N, 478, 3] (px, with their
    depth). A fitted head follows a profile less far: its outline counts for more than its depth.

    Source: Kabsch 1976.
    """
    head = load_head_model()
    mean = (head.point_matrix(RIGID_FACE_LANDMARKS) @ head.template).astype(np.float64) * [
        1,
        -1,
        -1,
    ]
    mean -= mean.mean(0)
    result = np.empty(len(landmarks), np.float32)
    for start in range(0, len(landmarks), ROTATION_BLOCK_FRAMES):
        seen = landmarks[start : start + ROTATION_BLOCK_FRAMES, list(RIGID_FACE_LANDMARKS)].astype(
            np.float64
        )
        u, _, v = np.linalg.svd((seen - seen.mean(1, keepdims=True)).transpose(0, 2, 1) @ mean)
        u[..., 2] *= np.sign(np.linalg.det(u @ v))[:, None]
        result[start : start + ROTATION_BLOCK_FRAMES] = np.arccos(np.clip((u @ v)[:, 2, 2], -1, 1))
    return result


def measure_outside_fraction(hulls: NDArray, frame_size: tuple[int, int]) -> NDArray[np.float32]:
    """Share of each convex hull [N, K, 2] (px) that lies outside of the picture. [N]"""
    centre = hulls.mean(1, keepdims=True)
    following = np.roll(hulls, -1, 1)
    a, b = hulls - centre, following - centre
    area = np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
    # The middles of rings of equal area in each of the triangles around the centre.
    reach = np.sqrt((np.arange(8) + 0.5) / 8)[:, None, None, None]
    points = centre + reach * (a + b) / 2
    out = ((points < 0) | (points > np.array(frame_size))).any(-1).mean(0)
    return ((out * area).sum(1) / np.maximum(area.sum(1), 1e-9)).astype(np.float32)


def remove_short_runs(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same, with gaps and stretches shorter than ``MIN_RUN_FRAMES`` frames taken out. [N]"""
    result = flags.copy()
    for value in (True, False):  # gaps first: what is left of a stretch may then be long enough
        edges = np.flatnonzero(np.diff(result, prepend=not result[0], append=not result[-1]))
        for first, stop in pairwise(edges):
            inner = first > 0 and stop < len(result)
            if inner and result[first] != value and stop - first < MIN_RUN_FRAMES:
                result[first:stop] = value
    return result
