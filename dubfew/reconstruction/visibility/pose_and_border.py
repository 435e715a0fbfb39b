"""Frames in which the face is turned away, or the mouth is cut off by the frame's edge."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import FLAG_CUT_BY_EDGE, FLAG_TURNED_AWAY
from dubfew.utils.growable_array import map_row_blocks

# Largest angle between the face's direction and the camera. From about 60 degrees on, half of the
# mouth is hidden. The detector underestimates profiles: it gives 51 degrees where the head turns
# by 60, and never more than 61.
MAX_TURN_RADIANS = np.deg2rad(51)
# Landmarks that jaw and expression hardly move: forehead, temples, in front of the ears, eyes,
# nose.
RIGID_FACE_LANDMARKS = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 127, 162, 21, 54, 103, 67, 109, 234, 93,
    132, 9, 8, 168, 6, 197, 195, 5, 4, 1, 33, 133, 362, 263, 151,
)  # fmt: skip
# Largest fraction of the mouth region that may be outside of the frame: a cropped chin is still
# accepted.
MAX_OUTSIDE_FRACTION = 0.25
# Shorter runs of flagged or of unflagged frames are removed: a mouth that is rendered for one or
# two frames flickers.
MIN_RUN_FRAMES = 3
# Rings of equal area per triangle when the outside fraction is measured: steps of 1/8 of it.
NUM_AREA_RINGS = 8


def compute_geometric_flags(
    landmarks: NDArray,  # [N, 478, 3] px
    hull: NDArray,  # [N, 48, 2] px
    frame_size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Flag the frames in which the face is turned away or the mouth is cut off.

    Args:
        landmarks: landmarks of the frames with a face, px. [N, 478, 3]
        hull: corners of the mouth mask, px. [N, 48, 2]
        frame_size: width and height of the frame, px.

    Returns:
        Sums of ``FLAG_TURNED_AWAY`` and ``FLAG_CUT_BY_EDGE``. [N]
    """
    turned = remove_short_runs(estimate_turn_angle(landmarks) > MAX_TURN_RADIANS)
    cut = remove_short_runs(measure_outside_fraction(hull, frame_size) > MAX_OUTSIDE_FRACTION)
    return (turned * FLAG_TURNED_AWAY + cut * FLAG_CUT_BY_EDGE).astype(np.uint8)


def estimate_turn_angle(landmarks: NDArray) -> NDArray[np.float32]:
    """Estimate the angle between the face's direction and the camera.

    The angle comes from the rotation that lays a mean head on the landmarks, depth included. The
    fitted head of a track is not used: it follows a profile less far, because its fit uses the
    outline and not the depth.

    Args:
        landmarks: px. [N, 478, 3]

    Returns:
        Angle, 0 when the face looks at the camera, rad. [N]

    Source: Kabsch 1976, "A solution for the best rotation to relate two sets of vectors" (Acta
    Crystallographica A32).
    """
    head = load_head_model()
    # Landmarks have y down and z away from the camera, head space the opposite.
    flipped = [1, -1, -1]
    mean = (head.point_matrix(RIGID_FACE_LANDMARKS) @ head.template).astype(np.float64) * flipped
    mean -= mean.mean(0)

    def estimate(rows: NDArray) -> NDArray[np.float32]:
        observed = rows[:, list(RIGID_FACE_LANDMARKS)].astype(np.float64)
        centered = observed - observed.mean(1, keepdims=True)
        u, _, v = np.linalg.svd(centered.transpose(0, 2, 1) @ mean)
        # A reflection would fit better now and then: turn it into a rotation.
        u[..., 2] *= np.sign(np.linalg.det(u @ v))[:, None]
        # The face's direction is the z axis of the head: its z component is the cosine.
        return np.arccos(np.clip((u @ v)[:, 2, 2], -1, 1)).astype(np.float32)

    return map_row_blocks(estimate, landmarks)


def measure_outside_fraction(hulls: NDArray, frame_size: tuple[int, int]) -> NDArray[np.float32]:
    """Measure the fraction of each convex hull that lies outside of the frame.

    Args:
        hulls: corners in order, px. [N, K, 2]
        frame_size: width and height of the frame, px.

    Returns:
        Fraction of the area, 0 to 1. [N]
    """
    # The samples of a frame take 3 kB.
    return map_row_blocks(lambda rows: _measure_outside(rows, frame_size), hulls)


def _measure_outside(hulls: NDArray, frame_size: tuple[int, int]) -> NDArray[np.float32]:
    # Triangles between the center and each edge.
    center = hulls.mean(1, keepdims=True)
    following = np.roll(hulls, -1, 1)
    a, b = hulls - center, following - center
    area = np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
    # One sample per ring of equal area, in the middle of each triangle.
    radius = np.sqrt((np.arange(NUM_AREA_RINGS) + 0.5) / NUM_AREA_RINGS)[:, None, None, None]
    points = center + radius * (a + b) / 2
    outside = ((points < 0) | (points > np.array(frame_size))).any(-1).mean(0)
    return ((outside * area).sum(1) / np.maximum(area.sum(1), 1e-9)).astype(np.float32)


def remove_short_runs(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill gaps and remove runs that are shorter than ``MIN_RUN_FRAMES`` frames.

    Runs at the beginning and the end stay: they may go on outside of the clip.

    Args:
        flags: one flag per frame. [N]

    Returns:
        A smoothed copy. [N]

    Example:
        >>> flags = [0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0]
        >>> remove_short_runs(np.array(flags, bool)).astype(int).tolist()
        [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    """
    result = flags.copy()
    # Gaps first: a run that is joined with its neighbors may then be long enough.
    for value in (True, False):
        edges = np.flatnonzero(np.diff(result, prepend=not result[0], append=not result[-1]))
        for first, stop in pairwise(edges):
            is_inner = first > 0 and stop < len(result)
            if is_inner and result[first] != value and stop - first < MIN_RUN_FRAMES:
                result[first:stop] = value
    return result
