"""Background beside a jaw: which points of the mesh lie beside the face in a reference.

The mesh of a turned head reaches over the jaw, onto the wall behind it. Where all references of a
frame do so they agree, and only the rest of the actor's footage tells that this point is skin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.utils.arrays import FloatArray

# Level below which colors are noise.
DARKEST_LEVEL = 0.02
# Windows from which on most of them tell what a point of the mesh is.
MIN_WINDOWS = 8
# Difference of a point's hue from what most windows show, times brightness, up to which it is skin,
# and from which it is something else; see `dubfew.references.skin_hue.measure_hues`.
SKIN_DIFFERENCE, BACKGROUND_DIFFERENCE = 0.055, 0.1
# Distance of the samples around a point, as a fraction of the window: a pixel alone is noise. It is
# smaller around places between points, so that a strand of hair fills it.
SAMPLE_REACH, STRAND_REACH = 0.012, 0.006
# Neighbors of a point, and places on the way to each, as fractions, where something may lie between
# points: those of a jaw are a fifteenth of the window apart.
NUM_NEIGHBORS, WAYS = 6, (0.25, 0.5)
# Distance of points from which on they are no neighbors, as a fraction of the window.
MAX_NEIGHBOR_DISTANCE = 0.15
# Distance from the inner edge of the lips, in inter-ocular distances, from which on skin keeps its
# hue whatever the mouth does.
FAR_FROM_LIPS = (0.25, 0.35)


def find_background_points(
    images: NDArray[np.uint8],  # [N, S, S, 3]
    vertices: NDArray[np.float32],  # [N, V, 3]
) -> FloatArray:  # [N, V]
    """Find the points of the mesh that show something else than in most windows.

    Light that differs from window to window has no say: hues are compared after the difference that
    most points of a window have is taken off.

    Args:
        images: RGB mouth windows. [N, S, S, 3]
        vertices: projected mesh, x and y in window px. [N, V, 3]

    Returns:
        0 where a point shows what it shows in most windows, 1 where it does not; 0 for fewer than
        ``MIN_WINDOWS`` windows. [N, V]
    """
    if len(images) < MIN_WINDOWS:
        return np.zeros(vertices.shape[:2], np.float32)
    points = vertices[:, :, :2]
    difference = _measure_differences(images, points, SAMPLE_REACH)
    # A strand of hair between two points concerns both.
    size = images.shape[1]
    between = _place_between(points, MAX_NEIGHBOR_DISTANCE * size)
    inside = ((between >= 0) & (between < size)).all((0, -1))  # in all windows: those are fast
    found = np.zeros(between.shape[:-1], np.float32)
    found[:, inside] = _measure_differences(images, between[:, inside], STRAND_REACH)
    np.maximum(difference, found.max(-1), out=difference)
    limits = BACKGROUND_DIFFERENCE - SKIN_DIFFERENCE
    return np.clip((difference - SKIN_DIFFERENCE) / limits, 0, 1).astype(np.float32)


def _place_between(
    points: NDArray[np.float32],  # [N, P, 2]
    reach: float,
) -> NDArray[np.float32]:  # [N, P, B, 2]
    """Place points between each point of a mesh and those next to it in the first window.

    Args:
        points: the mesh, in any unit. [N, P, 2]
        reach: distance up to which others are next to a point; itself stands for those beyond.
    """
    distances = np.linalg.norm(points[0, :, None] - points[0], axis=-1)
    nearest = np.argsort(distances, 1)[:, 1 : NUM_NEIGHBORS + 1]
    itself = np.arange(len(distances))[:, None]
    nearest = np.where(distances[itself, nearest] <= reach, nearest, itself)
    ways = [points[:, :, None] * (1 - way) + points[:, nearest] * way for way in WAYS]
    return np.concatenate(ways, 2).astype(np.float32)


def _measure_differences(
    images: NDArray[np.uint8],  # [N, S, S, 3]
    points: NDArray[np.float32],  # [N, P, 2]
    reach: float,
) -> FloatArray:  # [N, P]
    """Measure by how much points differ in hue from what they show in most windows.

    Args:
        images: RGB mouth windows. [N, S, S, 3]
        points: the same points in each of them, window px. [N, P, 2]
        reach: distance of the samples around a point, as a fraction of the window.

    Returns:
        Differences of hue, times brightness; 0 outside of a window. [N, P]
    """
    count, size = images.shape[:2]
    colors = np.zeros((*points.shape[:2], 3), np.float32)
    shifts = reach * size * np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)], np.float32)
    rows = np.arange(count)[:, None]
    for shift in shifts:
        x, y = np.moveaxis(points + shift, -1, 0)
        x, y = (np.clip(values, 0, size - 1).astype(np.int64) for values in (x, y))
        colors += images[rows, y, x]
    colors /= len(shifts) * 255
    inside = ((points >= 0) & (points < size)).all(-1)
    logarithms = np.log(np.maximum(colors, DARKEST_LEVEL))
    hues = logarithms[..., 0::2] - logarithms[..., 1:2]
    hues[~inside] = np.nan
    seen = inside.any(0)
    difference = np.zeros(points.shape[:2], np.float32)
    if not seen.any():
        return difference
    take_median: Any = np.median if inside.all() else np.nanmedian  # ten times as fast
    hues = hues[:, seen]
    off = hues - take_median(hues, 0)
    # The light of each window.
    known = inside[:, seen].any(1)
    off[known] -= take_median(off[known], 1, keepdims=True)
    brightness = np.median(colors[:, seen].mean(-1), 0)
    difference[:, seen] = np.nan_to_num(np.abs(off).max(-1) * brightness)
    return difference


def rate_far_from_lips(
    vertices: NDArray[np.float32],  # [V, 2]
    ring: NDArray[np.float32],  # [20, 2]
    eye_distance: float,
) -> FloatArray:  # [V]
    """Rate how far points of the mesh are from the lips: 0 on them and beside, 1 far from them.

    Args:
        vertices: points, in any unit. [V, 2]
        ring: inner edge of the lips, in the same. [20, 2]
        eye_distance: inter-ocular distance, in the same.
    """
    near, far = FAR_FROM_LIPS
    across, down = (vertices[:, None, axis] - ring[:, axis] for axis in (0, 1))
    nearest = np.sqrt((across * across + down * down).min(1)) / eye_distance
    return np.clip((nearest - near) / (far - near), 0, 1).astype(np.float32)
