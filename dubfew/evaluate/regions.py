"""Which pixels of a frame an edit may touch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from dubfew.reconstruction.crop import mouth_mask
from dubfew.reconstruction.heads.head_model import load_head
from dubfew.reconstruction.track import Track

# Frame index -> pixels that may change [H, W], or None for none.
Region = Callable[[int], "NDArray[np.bool_] | None"]

# A chroma sample of 4:2:0 video covers 2 x 2 px and is interpolated with its neighbours when a
# frame becomes RGB: an edit of exactly the mask shows this far around it, px.
CHROMA_REACH = 4


def mouth_region(track: Track, *, grow: int = 0) -> Region:
    """The mouth mask that rendering uses, frame by frame; nothing where tracking failed.

    Args:
        track: of the original.
        grow: widen the mask by this many pixels on all sides.
    """
    head = load_head(track.head)

    def region(index: int) -> NDArray[np.bool_] | None:
        if index >= len(track) or not track.valid[index]:
            return None
        mask = np.asarray(mouth_mask(track, head, index, track.height, track.width)) > 0
        return widened(mask, grow)

    return region


def widened(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """A mask and all pixels within a square of ``by`` px around it. [H, W]"""
    if by == 0 or not mask.any():
        return mask
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    # Only where the result can be set: a filter over a whole 1080p frame takes ten times longer.
    part = np.s_[
        max(0, rows[0] - by) : rows[-1] + by + 1, max(0, columns[0] - by) : columns[-1] + by + 1
    ]
    result = np.zeros_like(mask)
    result[part] = maximum_filter(mask[part], size=2 * by + 1, mode="constant")
    return result
