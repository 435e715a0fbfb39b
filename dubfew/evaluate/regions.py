"""Which pixels of a frame an edit may touch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from dubfew.reconstruction.crop import render_mouth_mask
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track

# Frame index -> pixels that may change [H, W], or None for none.
EditRegion = Callable[[int], "NDArray[np.bool_] | None"]

# A chroma sample of 4:2:0 video covers 2 x 2 px and is interpolated with its neighbours when a
# frame becomes RGB: an edit of exactly the mask shows this far around it, px.
CHROMA_REACH_PX = 4


def mouth_region(track: Track, *, grow_px: int = 0) -> EditRegion:
    """The mouth mask that rendering uses, frame by frame; nothing where tracking failed.

    Args:
        track: of the original.
        grow_px: widen the mask by this many pixels on all sides.
    """
    head = load_head_model(track.head)

    def region(index: int) -> NDArray[np.bool_] | None:
        if index >= len(track) or not track.valid[index]:
            return None
        mask = np.asarray(render_mouth_mask(track, head, index, track.height, track.width)) > 0
        return dilate_mask(mask, grow_px)

    return region


def dilate_mask(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """A mask and all pixels within a square of ``radius`` px around it. [H, W]"""
    if radius == 0 or not mask.any():
        return mask
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    # Only where the result can be set: a filter over a whole 1080p frame takes ten times longer.
    part = np.s_[
        max(0, rows[0] - radius) : rows[-1] + radius + 1,
        max(0, columns[0] - radius) : columns[-1] + radius + 1,
    ]
    result = np.zeros_like(mask)
    result[part] = maximum_filter(mask[part], size=2 * radius + 1, mode="constant")
    return result
