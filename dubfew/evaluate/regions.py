"""Regions of a frame that an edit may change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from dubfew.reconstruction.crop import compute_track_regions, render_region_mask
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track

# Frame index -> True at the pixels that may change [H, W], or None if none may.
EditRegion = Callable[[int], "NDArray[np.bool_] | None"]

# Distance from the mask within which an edit of exactly the mask shows, px. A chroma sample of
# 4:2:0 video covers 2 x 2 px, and is interpolated with its neighbors when a frame becomes RGB.
CHROMA_REACH_PX = 4


def mouth_region(track: Track, *, grow_px: int = 0) -> EditRegion:
    """Make the region that rendering changes: the mouth mask of each frame.

    Args:
        track: track of the original.
        grow_px: pixels by which the mask is widened on all sides.

    Returns:
        A function from a frame's index to its mask [H, W]; None where tracking failed.
    """
    regions = compute_track_regions(track, load_head_model(track.head))

    def region(index: int) -> NDArray[np.bool_] | None:
        if index >= len(track) or not track.valid[index]:
            return None
        mask = render_region_mask(regions, index, track.height, track.width) > 0
        return dilate_mask(mask, grow_px)

    return region


def dilate_mask(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Widen a mask by a square of ``2 * radius + 1`` px around every pixel.

    Args:
        mask: True inside. [H, W]
        radius: pixels to add on each side; 0 returns the mask itself.

    Returns:
        The widened mask. [H, W]

    Example:
        >>> dilate_mask(np.array([[False, False, False, True]]), 1)
        array([[False, False,  True,  True]])
    """
    if radius == 0 or not mask.any():
        return mask
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    # Filter only the part that can become True: a whole 1080p frame takes ten times longer.
    part = np.s_[
        max(0, rows[0] - radius) : rows[-1] + radius + 1,
        max(0, columns[0] - radius) : columns[-1] + radius + 1,
    ]
    result = np.zeros_like(mask)
    result[part] = maximum_filter(mask[part], size=2 * radius + 1, mode="constant")
    return result
