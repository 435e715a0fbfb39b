"""Teeth in windows of a mouth: which colors are teeth, how much of them shows, and their color."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

from dubfew.references.mouth_opening import (
    LIP_DEPTH,
    MIN_LENGTH,
    MouthOpening,
    find_gap,
    sample_nearest,
)
from dubfew.utils.arrays import FloatArray
from dubfew.utils.luma import LUMA_BT601

# A tooth is at least this bright beside the lower lip, and at most this colorful (CIELAB).
TOOTH_LIGHTNESS, TOOTH_CHROMA = 1.0, 0.75
# Share of the opening from which a picture shows teeth.
TEETH_SHARE = 0.05
# Places of the opening that are looked at, across and down, and the part of its width.
PLACES_ACROSS, PLACES_DOWN, LOOKED_AT = 32, 16, 0.8
# Share of bright pixels up to which an opening is a hollow: landmarks miss the edge of the lower
# lip by a few pixels, and its shine is as pale as teeth.
HOLLOW_SHINE_SHARE = 0.1
# Brightness of the darkest row of an opening beside the lower lip, up to which it is a dark hollow.
HOLLOW_DARKNESS = 0.6
# Redness of the tongue (CIELAB's a) beside that of the lower lip, at least, and its lightness, at
# most: in pale light the teeth of clenched mouths are nearly as colorful.
FLESH_REDNESS, FLESH_LIGHTNESS = 0.75, 0.9
# Smallest height of an opening, px: in a lower one a row of pixels is half lip.
MIN_HEIGHT_PX = 4.0


def are_teeth(colors: NDArray, lip: NDArray) -> NDArray[np.bool_]:
    """Tell which colors are those of teeth: as bright as the lower lip or brighter, and paler.

    Args:
        colors: RGB, 0 to 1. [N, 3]
        lip: RGB of the lower lip, 0 to 1. [M, 3]

    Returns:
        True for teeth; all False without a lip. [N]
    """
    if not len(lip) or not len(colors):
        return np.zeros(len(colors), np.bool_)
    tone, found = np.median(to_lab(lip), 0), to_lab(colors)
    bright = found[:, 0] >= TOOTH_LIGHTNESS * tone[0]
    pale = np.hypot(found[:, 1], found[:, 2]) <= TOOTH_CHROMA * np.hypot(tone[1], tone[2])
    return np.asarray(bright & pale)


def to_lab(colors: NDArray) -> NDArray:
    """Convert RGB, 0 to 1, to CIELAB. [N, 3]"""
    return np.asarray(rgb2lab(np.asarray(colors, np.float32)[:, None])[:, 0])


def look_at_teeth(image: NDArray[np.uint8], ring: FloatArray) -> tuple[float, FloatArray]:
    """Look for teeth in one window.

    Args:
        image: RGB window. [S, S, 3]
        ring: inner edge of the lips, -1 to 1. [20, 2]

    Returns:
        Share of the opening that are teeth, 0 to 1, and their colors, RGB 0 to 255. [N, 3]
    """
    opening = MouthOpening.from_ring(ring)
    across = opening.spread_across(LOOKED_AT, PLACES_ACROSS)
    upper, lower = opening.edge_heights(across)
    if not _is_open(image, opening):
        return 0.0, np.zeros((0, 3), np.float32)
    heights = (np.arange(PLACES_DOWN) + 0.5) / PLACES_DOWN
    down = upper + heights[:, None] * np.maximum(lower - upper, MIN_LENGTH)
    points = np.stack([np.broadcast_to(across, down.shape), down], -1).reshape(-1, 2)
    below = np.stack([across, lower + LIP_DEPTH * opening.half_width], 1)
    colors, lip = (sample_nearest(image, opening.from_axes(places)) for places in (points, below))
    found = are_teeth(colors / 255, lip / 255)
    return float(found.mean()), colors[found]


def is_hollow(image: NDArray[np.uint8], ring: FloatArray) -> bool:
    """Tell whether a window shows an open mouth with nothing but darkness in it.

    Args:
        image: RGB window. [S, S, 3]
        ring: inner edge of the lips, -1 to 1. [20, 2]
    """
    opening = MouthOpening.from_ring(ring)
    if not _is_open(image, opening) or look_at_teeth(image, ring)[0] > HOLLOW_SHINE_SHARE:
        return False
    return is_dark(image, opening, find_gap(image, opening).color)


def is_dark(image: NDArray[np.uint8], opening: MouthOpening, color: FloatArray) -> bool:
    """Tell whether a color is dark beside the lower lip, as a gap is and clenched teeth are not.

    Args:
        image: RGB window. [S, S, 3]
        opening: opening of the lips in it.
        color: RGB, 0 to 255. [3]
    """
    lip = _sample_lip(image, opening)
    return bool(color @ LUMA_BT601 <= HOLLOW_DARKNESS * np.median(lip @ LUMA_BT601))


def is_flesh(image: NDArray[np.uint8], opening: MouthOpening, color: FloatArray) -> bool:
    """Tell whether a color is as red as the lower lip and darker, as the tongue is between teeth.

    Args:
        image: window that shows the mouth. [S, S, 3]
        opening: opening of the lips in it.
        color: RGB, 0 to 255. [3]
    """
    lip = np.median(to_lab(_sample_lip(image, opening) / 255), 0)
    found = to_lab(color[None] / 255)[0]
    return bool(found[1] >= FLESH_REDNESS * lip[1] and found[0] <= FLESH_LIGHTNESS * lip[0])


def _sample_lip(image: NDArray[np.uint8], opening: MouthOpening) -> FloatArray:
    """Look up colors of the lower lip below the middle of its edge, RGB 0 to 255. [N, 3]"""
    across = opening.spread_across(LOOKED_AT / 2, PLACES_ACROSS)
    below = opening.edge_heights(across)[1] + LIP_DEPTH * opening.half_width
    return sample_nearest(image, opening.from_axes(np.stack([across, below], 1)))


def _is_open(image: NDArray[np.uint8], opening: MouthOpening) -> bool:
    """Tell whether a window shows enough of an opening to say what is in it."""
    upper, lower = opening.edge_heights(opening.spread_across(LOOKED_AT, PLACES_ACROSS))
    return bool((lower - upper).max() * len(image) / 2 >= MIN_HEIGHT_PX)
