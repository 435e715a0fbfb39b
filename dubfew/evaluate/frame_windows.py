"""The part of two frames that is measured as RGB; the rest is only compared.

To convert a whole frame of 1080p exactly takes longer than all that is measured in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.face_geometry import PixelBox, eye_corner_distance
from dubfew.evaluate.metrics._kernels import bound_tile_differences
from dubfew.evaluate.metrics.outside_max import max_difference_outside
from dubfew.media import Frame
from dubfew.media.pixels import NATIVE_FORMATS, RANGE_FULL, rgb_to_yuv_matrix
from dubfew.media.working_color import find_working_color

# Edge of the tiles that frames are compared in, px. A window consists of whole tiles.
TILE_PX = 32
# How far rounding may take two RGB levels beyond the difference of their YUV samples.
ROUNDING_LEVELS = 2.0
# Margin around the editable pixels, in eye-corner distances: a seam is looked for that far.
EDGE_REACH = 0.06
# Margin around all landmarks as a fraction of the face's larger side: the crop of the network that
# tells people apart is half as wide again as the face, and turned with it.
FACE_MARGIN = 0.35


@dataclass(frozen=True)
class PairWindow:
    """Two frames as RGB, of which only a window counts.

    Attributes:
        reference: frame of the original. [H, W, 3] uint8 RGB
        output: the same frame of the output. [H, W, 3] uint8 RGB
        box: part of them that shows the frames; None for all of it.
        beyond: largest difference of any RGB value outside of the box, 0 to 255.
    """

    reference: NDArray[np.uint8]
    output: NDArray[np.uint8]
    box: PixelBox | None = None
    beyond: int = 0


class PairReader:
    """Read windows of the frames of two clips.

    The pictures are two arrays that are written anew for every pair. Outside of the window they
    show earlier frames.
    """

    def __init__(self) -> None:
        self._pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None

    def read(
        self, original: Frame, rendered: Frame, boxes: Sequence[PixelBox] | None
    ) -> PairWindow:
        """Convert what is measured of two frames, and compare the rest.

        Args:
            original: frame of the original.
            rendered: the same frame of the output, of the same size.
            boxes: parts that are measured; None for the whole frames.
        """
        if boxes is None or not _are_comparable(original, rendered):
            return PairWindow(original.to_rgb(), rendered.to_rgb())
        shape = (original.height, original.width, 3)
        if self._pictures is None or self._pictures[0].shape != shape:
            self._pictures = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        box = _enclose(boxes, original.width, original.height)
        edges = (box.left, box.top, box.right, box.bottom)
        for picture, frame in zip(self._pictures, (original, rendered), strict=True):
            box.crop(picture)[...] = frame.crop_rgb(*edges)
        return PairWindow(*self._pictures, box, find_difference_beyond(original, rendered, box))


def list_measured_boxes(
    face: PixelBox | None,
    mouth: PixelBox,
    editable: NDArray[np.bool_] | None,
    landmarks: NDArray[np.float32] | None,
) -> list[PixelBox] | None:
    """List the parts of a frame that measures look at.

    Args:
        face: face crop of the original, px; None without a face.
        mouth: mouth box of the clip, px.
        editable: True at the pixels that may change; None if none may. [H, W]
        landmarks: landmarks of the original, px; None without a face. [478, 3]

    Returns:
        Boxes in px; None where all of the frame is wanted.
    """
    if face is None or editable is None or landmarks is None:
        return None
    height, width = editable.shape
    boxes = [face, mouth]
    if editable.any():
        rows, columns = (np.flatnonzero(editable.any(axis)) for axis in (1, 0))
        reach = math.ceil(EDGE_REACH * float(eye_corner_distance(landmarks[None])[0])) + TILE_PX
        ends = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        boxes.append(_clip_box(ends, reach, width, height))
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    ends = int(low[0]), int(low[1]), math.ceil(high[0]), math.ceil(high[1])
    around = round(FACE_MARGIN * float((high - low).max()))
    return [*boxes, _clip_box(ends, around, width, height)]


def _clip_box(ends: tuple[int, int, int, int], margin: int, width: int, height: int) -> PixelBox:
    """Widen left, top, right and bottom by a margin, inside of a frame."""
    left, top = (
        min(max(0, end - margin), size - 1)
        for end, size in zip(ends[:2], (width, height), strict=True)
    )
    right, bottom = (
        max(1, min(size, end + margin)) for end, size in zip(ends[2:], (width, height), strict=True)
    )
    return PixelBox(left, top, right, bottom)


def find_difference_beyond(original: Frame, rendered: Frame, box: PixelBox) -> int:
    """Find the largest difference of any RGB value of two frames outside of a box.

    The samples of a tile bound how much its RGB levels can differ. Tiles are converted from the
    highest bound on until no other one can differ more.

    Args:
        original: frame of 8-bit YUV in square pixels.
        rendered: frame of the same format, size and color.
        box: part that does not count; its edges are those of tiles, or the frame's.

    Returns:
        Difference, 0 to 255; the same as of the frames' `Frame.to_rgb`.
    """
    color_range = original.color.range_for(NATIVE_FORMATS[original.pix_fmt])
    to_yuv, _ = rgb_to_yuv_matrix(original.matrix, color_range == RANGE_FULL, 8)
    weights = np.linalg.inv(to_yuv.astype(np.float64)).astype(np.float32)
    (luma, blue, red), (other_luma, other_blue, other_red) = original.planes(), rendered.planes()
    bounds = bound_tile_differences(
        luma, other_luma, blue, other_blue, red, other_red, weights, TILE_PX
    )
    inside = np.s_[
        box.top // TILE_PX : -(-box.bottom // TILE_PX),
        box.left // TILE_PX : -(-box.right // TILE_PX),
    ]
    bounds[inside] = 0
    largest = 0
    for index in np.argsort(-bounds, axis=None):
        row, column = np.unravel_index(index, bounds.shape)
        if bounds[row, column] == 0 or bounds[row, column] + ROUNDING_LEVELS <= largest:
            break
        left, top = int(column) * TILE_PX, int(row) * TILE_PX
        edges = (
            left,
            top,
            min(left + TILE_PX, original.width),
            min(top + TILE_PX, original.height),
        )
        tiles = original.crop_rgb(*edges), rendered.crop_rgb(*edges)
        largest = max(largest, max_difference_outside(*tiles, None))
    return largest


def _are_comparable(original: Frame, rendered: Frame) -> bool:
    """Tell whether equal samples of two frames are equal levels, and a box is like its frame."""
    form = NATIVE_FORMATS.get(original.pix_fmt)
    return (
        form is not None
        and form.kind == "planar"
        and form.bits == 8
        and original.pix_fmt == rendered.pix_fmt
        and original.matrix == rendered.matrix
        and original.color.range_for(form) == rendered.color.range_for(form)
        and find_working_color(original.color) is None
        and find_working_color(rendered.color) is None
        and original.aspect == rendered.aspect == 1
        and original.width % 2 == original.height % 2 == 0
    )


def _enclose(boxes: Sequence[PixelBox], width: int, height: int) -> PixelBox:
    """Enclose boxes by whole tiles of a frame."""
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return PixelBox(
        max(0, left // TILE_PX * TILE_PX),
        max(0, top // TILE_PX * TILE_PX),
        min(width, -(-right // TILE_PX) * TILE_PX),
        min(height, -(-bottom // TILE_PX) * TILE_PX),
    )
