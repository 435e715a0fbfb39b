"""Pictures of anamorphic footage in square pixels, and what is painted in them brought back.

Faces are measured and painted in square pixels. The stored picture is enlarged along one axis and
never shrunk, so that hardly anything is lost on the way there and back.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Aspects beyond these are damaged headers, not lenses: 2 is the most that cinema squeezes, 64:45
# the most that broadcast does.
MIN_ASPECT, MAX_ASPECT = Fraction(1, 4), Fraction(4)
# Pixels around a box that Lanczos reaches when it enlarges.
FILTER_REACH_PX = 3
# Part of a stored pixel that has to be covered before it is written; all but rounding.
FULLY_COVERED = 0.999

PixelBox = tuple[int, int, int, int]  # left, top, right, bottom, px


def square_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Compute the size of a picture in square pixels.

    Args:
        width: of the stored picture, px.
        height: of the stored picture, px.
        aspect: width of a stored pixel over its height.

    Returns:
        Width and height, px; neither is smaller than that of the stored picture.

    Example:
        >>> square_size(720, 576, Fraction(64, 45)), square_size(720, 480, Fraction(8, 9))
        ((1024, 576), (720, 540))
    """
    if not MIN_ASPECT <= aspect <= MAX_ASPECT:
        return width, height
    if aspect >= 1:
        return round(width * aspect), height
    return width, round(height / aspect)


def stored_box(box: PixelBox, scale: tuple[float, float], size: tuple[int, int]) -> PixelBox:
    """Find the stored pixels that a box of square pixels is enlarged from.

    Args:
        box: left, top, right, bottom, square px.
        scale: stored pixels per square pixel, across and down.
        size: width and height of the stored picture, px.

    Returns:
        Left, top, right, bottom with what the filter reaches, inside the picture, stored px.
    """
    left, top, right, bottom = box
    reach = [0 if each == 1 else FILTER_REACH_PX for each in scale]
    return (
        max(int(np.floor(left * scale[0])) - reach[0], 0),
        max(int(np.floor(top * scale[1])) - reach[1], 0),
        min(int(np.ceil(right * scale[0])) + reach[0], size[0]),
        min(int(np.ceil(bottom * scale[1])) + reach[1], size[1]),
    )


def enlarge_box(
    pixels: NDArray[np.float32] | NDArray[np.uint8],  # [h, w, 3]
    place: PixelBox,
    box: PixelBox,
    scale: tuple[float, float],
) -> NDArray[np.float32]:  # [H, W, 3]
    """Enlarge stored pixels to a box of square pixels.

    Args:
        pixels: RGB levels at ``place``. [h, w, 3]
        place: left, top, right, bottom of ``pixels`` in the stored picture, px, see `stored_box`.
        box: left, top, right, bottom of the result, square px.
        scale: stored pixels per square pixel, across and down.

    Returns:
        RGB levels, 0 to 255. [H, W, 3]
    """
    left, top, right, bottom = box
    source = (
        left * scale[0] - place[0],
        top * scale[1] - place[1],
        right * scale[0] - place[0],
        bottom * scale[1] - place[1],
    )
    # The last pixel may end a rounding error beyond the picture.
    height, width = pixels.shape[:2]
    source = (source[0], source[1], min(source[2], float(width)), min(source[3], float(height)))
    resampled = _resize_channels(pixels, (right - left, bottom - top), source)
    return np.clip(resampled, 0, 255)


def shrink_patch(
    rgb: NDArray[np.float32] | NDArray[np.uint8],  # [h, w, 3]
    mask: NDArray[np.bool_],  # [h, w]
    corner: tuple[int, int],
    scale: tuple[float, float],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], tuple[int, int]]:
    """Bring a patch of square pixels to the stored ones.

    Args:
        rgb: RGB levels. [h, w, 3]
        mask: square pixels to write. [h, w]
        corner: left and top of the patch, square px.
        scale: stored pixels per square pixel, across and down.

    Returns:
        RGB levels [H, W, 3], the stored pixels that the mask covers wholly [H, W], and their left
        and top, px. No pixel is left where the patch covers none.
    """
    height, width = mask.shape
    (left, top), (across, down) = corner, scale
    x0, y0 = int(np.ceil(left * across)), int(np.ceil(top * down))
    x1, y1 = int(np.floor((left + width) * across)), int(np.floor((top + height) * down))
    if x1 <= x0 or y1 <= y0:
        return np.zeros((0, 0, 3), np.float32), np.zeros((0, 0), np.bool_), (x0, y0)
    source = (
        max(x0 / across - left, 0.0),
        max(y0 / down - top, 0.0),
        min(x1 / across - left, float(width)),
        min(y1 / down - top, float(height)),
    )
    size = (x1 - x0, y1 - y0)
    colors = np.clip(_resize_channels(rgb, size, source), 0, 255)
    columns = _coverage(mask.T.astype(np.float64), x0, x1, left, across)
    covered = _coverage(columns.T, y0, y1, top, down)
    return colors, covered >= FULLY_COVERED, (x0, y0)


def _coverage(
    mask: NDArray[np.float64],  # [n, k]
    first: int,
    stop: int,
    start: int,
    scale: float,
) -> NDArray[np.float64]:  # [stop - first, k]
    """Average a mask over stored pixels along its first axis, exactly.

    Args:
        mask: part of each square pixel that is covered, 0 to 1. [n, k]
        first: first stored pixel.
        stop: stored pixel after the last one.
        start: place of the mask's first row, square px.
        scale: stored pixels per square pixel.
    """
    sums = np.concatenate([np.zeros((1, mask.shape[1])), np.cumsum(mask, 0)])
    edges = np.clip(np.arange(first, stop + 1) / scale - start, 0, len(mask))
    below = np.minimum(edges.astype(np.int64), len(mask) - 1)
    share = (edges - below)[:, None]
    # The integral of the mask up to each edge; its differences are means.
    integral = sums[below] + share * (sums[below + 1] - sums[below])
    return np.diff(integral, axis=0) * scale


def _resize_channels(
    pixels: NDArray[np.float32] | NDArray[np.uint8],
    size: tuple[int, int],
    source: tuple[float, float, float, float],
) -> NDArray[np.float32]:
    """Resample the channels of a picture one by one, in floating point."""
    channels = [
        Image.fromarray(np.ascontiguousarray(pixels[..., number], np.float32)).resize(
            size, Image.Resampling.LANCZOS, box=source
        )
        for number in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], -1)
