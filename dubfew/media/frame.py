"""One video frame, kept as the decoder made it and converted only where it is asked for."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.errors import ShapeError
from dubfew.media.pixels import (
    NATIVE_FORMATS,
    RANGE_FULL,
    ColorTags,
    PixelFormat,
    Plane,
    convert_picture,
    crop_even_box,
    gray_to_rgb_table,
    keep_whole_cells,
    new_picture,
    plane_views,
    rgb_to_yuv_matrix,
)
from dubfew.media.square_pixels import enlarge_box, shrink_patch, square_size, stored_box
from dubfew.media.working_color import find_working_color, gray_table

# Steps of swscale's RGB of 16 bits to a level of 8: it makes 65,280 of white in YUV, not 65,535.
_DEEP_STEP = 256.0


class Frame:
    """An upright picture with its place in time. Immutable; used by one thread at a time.

    Width, height, boxes and RGB are those of square pixels: an anamorphic picture is as wide or as
    high as it is shown. `picture` and `planes` are as stored.

    Attributes:
        index: number of the frame in its video, from 0.
        stamp: presentation time after the first frame, s, exact.
        color: color tags, as read.
        duration: time for which the frame is shown, s, exact.
        aspect: width of a stored pixel over its height.
    """

    __slots__ = ("_picture", "_size", "aspect", "color", "duration", "index", "stamp")

    def __init__(
        self,
        picture: av.VideoFrame,
        index: int,
        stamp: Fraction,
        duration: Fraction,
        color: ColorTags,
        aspect: Fraction = Fraction(1),
    ) -> None:
        """Wrap a decoded picture.

        Args:
            picture: upright picture in one of `NATIVE_FORMATS`.
            index: number of the frame in its video, from 0.
            stamp: presentation time after the first frame, s.
            duration: time for which the frame is shown, s.
            color: color tags of the picture.
            aspect: width of a stored pixel over its height.
        """
        self._picture = picture
        self._size = square_size(picture.width, picture.height, aspect)
        self.aspect = aspect
        self.index = index
        self.stamp = stamp
        self.duration = duration
        self.color = color

    @classmethod
    def from_rgb(
        cls,
        rgb: NDArray[np.uint8],  # [H,W,3]
        index: int = 0,
        fps: Fraction | int = 25,
        pix_fmt: str = "yuv420p",
        color: ColorTags | None = None,
    ) -> Frame:
        """Make a frame at ``index / fps`` from an RGB picture.

        Args:
            rgb: picture. [H, W, 3]
            index: number of the frame in its video, from 0.
            fps: frame rate, which sets time and duration.
            pix_fmt: one of `NATIVE_FORMATS`.
            color: color tags; None leaves them unspecified.

        Raises:
            ShapeError: The picture is not uint8 [H, W, 3].
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ShapeError(f"rgb is {rgb.dtype}{list(rgb.shape)}: give uint8 [H, W, 3]")
        height, width = rgb.shape[:2]
        blank = cls(
            av.VideoFrame(width, height, pix_fmt),
            index,
            index / Fraction(fps),
            1 / Fraction(fps),
            color or ColorTags(),
        )
        return blank.with_patch(0, 0, rgb, np.ones((height, width), bool))

    @property
    def time(self) -> float:
        """Return the presentation time after the first frame, s."""
        return float(self.stamp)

    @property
    def width(self) -> int:
        """Return the width, square px."""
        return self._size[0]

    @property
    def height(self) -> int:
        """Return the height, square px."""
        return self._size[1]

    @property
    def pix_fmt(self) -> str:
        """Return the name of the pixel format, one of `NATIVE_FORMATS`."""
        return self._picture.format.name

    @property
    def picture(self) -> av.VideoFrame:
        """Return the picture as PyAV holds it; it must not be changed."""
        return self._picture

    @property
    def matrix(self) -> int:
        """Return the code point of the color matrix (ITU-T H.273), guessed where it is untagged."""
        return self.color.matrix_for(self._picture.height)

    @property
    def is_deep(self) -> bool:
        """Return True if samples have more than 8 bits."""
        return self._pixel_format.bits > 8

    @property
    def _stored_size(self) -> tuple[int, int]:
        return self._picture.width, self._picture.height

    @property
    def _scale(self) -> tuple[float, float] | None:
        """Stored pixels per square pixel, across and down; None where both are the same."""
        if self._size == self._stored_size:
            return None
        (width, height), (shown_width, shown_height) = self._stored_size, self._size
        return width / shown_width, height / shown_height

    @property
    def _pixel_format(self) -> PixelFormat:
        return NATIVE_FORMATS[self.pix_fmt]

    @property
    def _is_full_range(self) -> bool:
        return self.color.range_for(self._pixel_format) == RANGE_FULL

    def planes(self) -> tuple[Plane, ...]:
        """Return read-only views of the planes; `plane_views` describes their shapes."""
        views = plane_views(self._picture)
        for view in views:
            view.flags.writeable = False
        return views

    def with_time(self, index: int, stamp: Fraction) -> Frame:
        """Return the same picture at another place in time, to loop or to hold it.

        Args:
            index: number of the frame in its video, from 0.
            stamp: presentation time after the first frame, s.
        """
        return Frame(self._picture, index, stamp, self.duration, self.color, self.aspect)

    def as_stored(self) -> Frame:
        """Return the same picture whose pixels count as they are stored, whatever their shape."""
        return Frame(self._picture, self.index, self.stamp, self.duration, self.color)

    def to_rgb(self, *, fast: bool = False) -> NDArray[np.uint8]:  # [H,W,3]
        """Convert the whole picture to RGB.

        Args:
            fast: use swscale's quick path, which is about five times faster and 1 to 3 levels too
                dark: good enough to find a face, not to render one.

        Returns:
            uint8 [H, W, 3]
        """
        form, conversion = self._pixel_format, find_working_color(self.color)
        if self._scale is not None:
            if fast:
                small = Image.fromarray(self.as_stored().to_rgb(fast=True))
                return np.asarray(small.resize(self._size, Image.Resampling.BILINEAR))
            return self.crop_rgb(0, 0, self.width, self.height)
        even = self.width % 2 == 0 and self.height % 2 == 0
        if not form.is_yuv or not even or (conversion is not None and not fast):
            return self.crop_rgb(0, 0, self.width, self.height)
        rgb = convert_picture(self._picture, "rgb24", self.color, self.height, RANGE_FULL, fast)
        if conversion is not None:
            # Channel by channel, which is near enough to find a face.
            return gray_table(conversion)[plane_views(rgb)[0]]
        return np.ascontiguousarray(plane_views(rgb)[0])

    def crop_rgb(
        self, left: int, top: int, right: int, bottom: int, *, fast: bool = False
    ) -> NDArray[np.uint8]:
        """Convert a box to RGB, with the same levels as that box of `to_rgb`.

        HDR and wide gamuts come in the working color, see `dubfew.media.working_color`.

        Args:
            left: left edge, px.
            top: upper edge, px.
            right: right edge, px, exclusive.
            bottom: lower edge, px, exclusive.
            fast: use swscale's quick path, as in `to_rgb`. Edges that are multiples of 16, or the
                frame's own, give the same levels as there.

        Returns:
            uint8 [bottom - top, right - left, 3]

        Raises:
            ShapeError: The box is empty or leaves the frame.
        """
        self._check_box(left, top, right, bottom)
        if fast:
            return self._crop_fast(left, top, right, bottom)
        if self._scale is not None:
            return np.rint(self._crop_stretched(left, top, right, bottom)).astype(np.uint8)
        form, planes = self._pixel_format, plane_views(self._picture)
        rows, columns = slice(top, bottom), slice(left, right)
        if form.kind == "rgb":
            return planes[0][rows, columns].copy()
        if form.kind == "gbrp":
            green, blue, red = (plane[rows, columns] for plane in planes)
            return np.stack([red, green, blue], axis=-1)
        if form.kind == "gray":
            level = gray_to_rgb_table(self._is_full_range)[planes[0][rows, columns]]
            gray = np.empty((*level.shape, 3), np.uint8)
            gray[...] = level[..., None]
            return gray
        if find_working_color(self.color) is not None:
            return np.rint(self._crop_deep(left, top, right, bottom)).astype(np.uint8)
        picture, inner = self._cut_even_box(left, top, right, bottom)
        rgb = plane_views(convert_picture(picture, "rgb24", self.color, self.height, RANGE_FULL))[0]
        return np.ascontiguousarray(rgb[inner])

    def shrink_rgb(
        self, left: int, top: int, right: int, bottom: int, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Convert a box to RGB at another size, in one pass of swscale's quick path.

        Good enough to find people, not to render one: levels are those of `to_rgb` with ``fast``.

        Args:
            left: left edge, px; even.
            top: upper edge, px; even.
            right: right edge, px, exclusive.
            bottom: lower edge, px, exclusive.
            size: width and height of the result, px.

        Returns:
            uint8 [height, width, 3]

        Raises:
            ShapeError: The box is empty or leaves the frame.
        """
        self._check_box(left, top, right, bottom)
        return self._crop_fast(left, top, right, bottom, size)

    def _crop_fast(
        self, left: int, top: int, right: int, bottom: int, size: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """The box of `to_rgb` with ``fast``; only the box is converted where that is possible."""
        even = self.width % 2 == 0 and self.height % 2 == 0
        if self._scale is not None or not self._pixel_format.is_yuv or not even:
            box = self.to_rgb(fast=True)[top:bottom, left:right]
            if size is None:
                return box
            return np.asarray(Image.fromarray(box).resize(size, Image.Resampling.BICUBIC))
        picture, inner = self._cut_even_box(left, top, right, bottom)
        converted = convert_picture(
            picture, "rgb24", self.color, self.height, RANGE_FULL, fast=True, size=size
        )
        rgb = plane_views(converted)[0]
        if size is None:
            rgb = rgb[inner]
        conversion = find_working_color(self.color)
        return rgb if conversion is None else gray_table(conversion)[rgb]

    def crop_levels(
        self, left: int, top: int, right: int, bottom: int
    ) -> NDArray[np.float32]:  # [h,w,3]
        """Convert a box to RGB as `crop_rgb` does, in all steps that deeper samples have.

        Args:
            left: left edge, px.
            top: upper edge, px.
            right: right edge, px, exclusive.
            bottom: lower edge, px, exclusive.

        Returns:
            Levels 0 to 255; whole numbers where samples have 8 bits and square pixels. [h, w, 3]

        Raises:
            ShapeError: The box is empty or leaves the frame.
        """
        self._check_box(left, top, right, bottom)
        if self._scale is not None:
            return self._crop_stretched(left, top, right, bottom)
        if self.is_deep:
            return self._crop_deep(left, top, right, bottom)
        return self.crop_rgb(left, top, right, bottom).astype(np.float32)

    def _crop_stretched(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.float32]:
        """Levels of a box in square pixels of an anamorphic picture. [h, w, 3]"""
        scale = self._scale
        assert scale is not None
        box = (left, top, right, bottom)
        place = stored_box(box, scale, self._stored_size)
        return enlarge_box(self.as_stored().crop_levels(*place), place, box, scale)

    def _cut_even_box(
        self, left: int, top: int, right: int, bottom: int
    ) -> tuple[av.VideoFrame, tuple[slice, slice]]:
        """A box of whole chroma cells as a picture of its own, and the place of the box in it."""
        form = self._pixel_format
        x, y = left - left % 2, top - top % 2  # chroma cells begin at even pixels
        box = crop_even_box(plane_views(self._picture), form, x, y, right, bottom)
        height, width = box[0].shape
        inner = (slice(top - y, bottom - y), slice(left - x, right - x))
        return new_picture(form.name, width, height, box), inner

    def _crop_deep(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.float32]:
        """Levels of a box, not rounded: the steps of 8 bits are seen in PQ. [h, w, 3]"""
        if not self._pixel_format.is_yuv:
            return self.crop_rgb(left, top, right, bottom).astype(np.float32)
        picture, inner = self._cut_even_box(left, top, right, bottom)
        deep = convert_picture(picture, "rgb48le", self.color, self._stored_size[1], RANGE_FULL)
        part = np.minimum(deep.to_ndarray()[inner].astype(np.float32) / _DEEP_STEP, 255)
        conversion = find_working_color(self.color)
        return part if conversion is None else conversion.to_working(part / 255) * 255

    def with_patch(
        self,
        left: int,
        top: int,
        rgb: NDArray[np.uint8] | NDArray[np.float32],  # [h,w,3]
        mask: NDArray[np.bool_],  # [h,w]
    ) -> Frame:
        """Return a copy of the frame with RGB pixels written where a mask is True.

        Luma changes exactly at the mask's pixels. A subsampled chroma sample changes if its cell
        holds a pixel of the mask; it becomes the mean over the cell of the patch's chroma (inside
        the mask) and its own (outside). Every other sample stays bit for bit.

        Args:
            left: column of the patch's first pixel, px; odd or even.
            top: row of the patch's first pixel, px; odd or even.
            rgb: patch, levels 0 to 255. Fractions of levels are kept as far as the samples can
                hold them. [h, w, 3]
            mask: pixels of the patch to write. In an anamorphic picture those stored pixels are
                written that it covers wholly. [h, w]

        Raises:
            ShapeError: Shapes disagree, or the patch leaves the frame.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype not in (np.uint8, np.float32):
            raise ShapeError(
                f"rgb is {rgb.dtype}{list(rgb.shape)}: give uint8 or float32 [h, w, 3]"
            )
        if mask.shape != rgb.shape[:2] or mask.dtype != np.bool_:
            raise ShapeError(
                f"mask is {mask.dtype}{list(mask.shape)}: give bool {list(rgb.shape[:2])}, like rgb"
            )
        self._check_box(left, top, left + rgb.shape[1], top + rgb.shape[0])
        if self._scale is not None:
            return self._patch_stretched(left, top, rgb, mask, self._scale)
        # Work on the mask's bounding box only.
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return self
        inner = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        rgb, mask, left, top = rgb[inner], mask[inner], left + int(columns[0]), top + int(rows[0])

        picture = new_picture(self.pix_fmt, self.width, self.height, plane_views(self._picture))
        planes, form = plane_views(picture), self._pixel_format
        values, conversion = rgb.astype(np.float32), find_working_color(self.color)
        if conversion is not None:
            values = conversion.from_working(values / 255) * 255
        if not form.is_yuv and (rgb.dtype != np.uint8 or conversion is not None):
            rgb = np.rint(values).astype(np.uint8)
        box = (slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1]))
        if form.kind == "rgb":
            np.copyto(planes[0][box], rgb, where=mask[..., None])
        elif form.kind == "gbrp":
            for plane, channel in zip(planes, (1, 2, 0), strict=True):
                np.copyto(plane[box], rgb[..., channel], where=mask)
        else:
            weights, offset = rgb_to_yuv_matrix(
                self.color.matrix_for(self.height), self._is_full_range, form.bits
            )
            luma = values @ weights[:, 0]
            luma += offset[0] + 0.5  # rounded by the cast: luma of RGB levels never leaves 0..max
            np.copyto(planes[0][box], luma.astype(planes[0].dtype), where=mask)
            if form.is_yuv:
                size = (self.height, self.width)
                _patch_chroma(planes[1:], size, form, left, top, values, mask, weights, offset)
        return Frame(picture, self.index, self.stamp, self.duration, self.color)

    def _patch_stretched(
        self,
        left: int,
        top: int,
        rgb: NDArray[np.uint8] | NDArray[np.float32],
        mask: NDArray[np.bool_],
        scale: tuple[float, float],
    ) -> Frame:
        """Write a patch of square pixels into an anamorphic picture, see `with_patch`."""
        colors, covered, (x, y) = shrink_patch(rgb, mask, (left, top), scale)
        # Chroma that pixels outside of the mask share stays as it is.
        covered = keep_whole_cells(covered, self._pixel_format, x, y)
        if not covered.any():
            return self
        patched = self.as_stored().with_patch(x, y, colors, covered)
        return Frame(
            patched.picture, self.index, self.stamp, self.duration, self.color, self.aspect
        )

    def _check_box(self, left: int, top: int, right: int, bottom: int) -> None:
        if not (0 <= left < right <= self.width and 0 <= top < bottom <= self.height):
            raise ShapeError(
                f"the box {left}, {top}, {right}, {bottom} is empty or leaves the frame of "
                f"{self.width} x {self.height}: clip it first"
            )


def _chroma_cell_sums(values: NDArray[np.float32], form: PixelFormat) -> NDArray[np.float32]:
    """Sum an array over chroma cells; its size is a multiple of the cell's."""
    if form.sub_y == 2:
        values = values[0::2] + values[1::2]
    if form.sub_x == 2:
        values = values[:, 0::2] + values[:, 1::2]
    return values


def _patch_chroma(
    chroma: tuple[Plane, ...],
    size: tuple[int, int],
    form: PixelFormat,
    left: int,
    top: int,
    rgb: NDArray[np.float32],
    mask: NDArray[np.bool_],
    weights: NDArray[np.float32],
    offset: NDArray[np.float32],
) -> None:
    """Write the chroma of a patch into ``chroma`` in place, see `Frame.with_patch`.

    ``size`` is the height and width of the frame. Planes are handled one by one in contiguous
    arrays: with interleaved channels the same sums take ten times as long.
    """
    # The block of whole chroma cells around the patch, and the patch's place in it.
    height, width = mask.shape
    first = (top // form.sub_y, left // form.sub_x)
    last = (-(-(top + height) // form.sub_y), -(-(left + width) // form.sub_x))
    cells = (slice(first[0], last[0]), slice(first[1], last[1]))
    whole = ((last[0] - first[0]) * form.sub_y, (last[1] - first[1]) * form.sub_x)
    y, x = top - first[0] * form.sub_y, left - first[1] * form.sub_x
    inner = (slice(y, y + height), slice(x, x + width))

    # Pixels of the mask in each cell.
    inside = np.zeros(whole, np.float32)
    inside[inner] = mask
    covered = _chroma_cell_sums(inside, form)
    # Pixels of the frame in each cell: the edge of an odd-sized frame cuts cells.
    present = np.multiply.outer(
        np.minimum(form.sub_y, size[0] - form.sub_y * np.arange(first[0], last[0])),
        np.minimum(form.sub_x, size[1] - form.sub_x * np.arange(first[1], last[1])),
    ).astype(np.float32)
    values = np.zeros(whole, np.float32)
    for number in (1, 2):
        # Mean over the cell: new chroma inside of the mask, the old sample for the rest.
        np.multiply(rgb @ weights[:, number], mask, out=values[inner])
        plane = chroma[number - 1] if len(chroma) == 2 else chroma[0][..., number - 1]
        mixed = _chroma_cell_sums(values, form) + covered * offset[number]
        mixed += (present - covered) * plane[cells]
        mixed /= present
        # Full-range chroma of pure red or blue is half a level above the highest sample.
        np.clip(np.rint(mixed, out=mixed), 0, 2**form.bits - 1, out=mixed)
        np.copyto(plane[cells], mixed.astype(plane.dtype), where=covered > 0)
