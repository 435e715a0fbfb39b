"""Pixel formats, their planes as arrays, and conversion between YUV and RGB.

YUV to RGB is swscale's, with flags that make it exact up to rounding (its default path is up to
three levels too dark) and that repeat chroma samples instead of interpolating them. RGB to YUV is a
matrix product. The two are each other's inverse up to 8-bit rounding.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

# One plane of a picture, uint8 or uint16: [H, W] or [H, W, C].
Plane = NDArray[Any]


@dataclass(frozen=True)
class PixelFormat:
    """Layout of a picture's samples in memory.

    Attributes:
        name: FFmpeg's name.
        kind: "planar" (Y, U, V), "nv12" (Y, UV), "rgb", "gbrp" (G, B, R) or "gray".
        sub_x: luma samples per chroma sample, across.
        sub_y: luma samples per chroma sample, down.
        bits: bits per sample; more than 8 means uint16.
        full_range: True if the format itself implies full range (the yuvj family).
    """

    name: str
    kind: str
    sub_x: int = 1
    sub_y: int = 1
    bits: int = 8
    full_range: bool = False

    @property
    def is_yuv(self) -> bool:
        """Return True if the format has luma and chroma."""
        return self.kind in ("planar", "nv12")


# Pixel formats that dubfew works on, by FFmpeg's name; all others are converted to one of them.
NATIVE_FORMATS = {
    form.name: form
    for form in (
        PixelFormat("yuv420p", "planar", 2, 2),
        PixelFormat("yuvj420p", "planar", 2, 2, full_range=True),
        PixelFormat("yuv422p", "planar", 2, 1),
        PixelFormat("yuvj422p", "planar", 2, 1, full_range=True),
        PixelFormat("yuv444p", "planar"),
        PixelFormat("yuvj444p", "planar", full_range=True),
        PixelFormat("yuv420p10le", "planar", 2, 2, bits=10),
        PixelFormat("yuv422p10le", "planar", 2, 1, bits=10),
        PixelFormat("yuv444p10le", "planar", bits=10),
        # That of sequences of pictures: finer than the steps of half floats.
        PixelFormat("yuv444p16le", "planar", bits=16),
        PixelFormat("nv12", "nv12", 2, 2),
        PixelFormat("rgb24", "rgb"),
        PixelFormat("gbrp", "gbrp"),
        PixelFormat("gray", "gray"),
    )
}

# FFmpeg's numbers of the ranges: 16 to 235 (for 8 bits), and 0 to 255. 0 is unspecified.
RANGE_LIMITED, RANGE_FULL = 1, 2
# "Unspecified" among the code points of matrix, primaries and transfer characteristics.
UNSPECIFIED_CODE_POINT = 2

# Code points of the matrices of HD and UHD (BT.709, BT.2020).
MATRIX_BT709 = 1
HD_MATRICES = (MATRIX_BT709, 9, 10)

# Weights of red and of blue in luma, by the matrix's code point (ITU-T H.273).
_LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),  # BT.2020 with constant luminance, treated like the one above
}
# Matrices in swscale's own numbering, by the same code points.
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


@dataclass(frozen=True)
class ColorTags:
    """Color tags of a picture: ITU-T H.273 code points, as FFmpeg numbers them.

    Attributes:
        range: 0 unspecified, 1 limited (16 to 235), 2 full (0 to 255).
        matrix: 1 is BT.709, 2 unspecified, ...
        primaries: 1 is BT.709, 2 unspecified, ...
        transfer: 1 is BT.709, 2 unspecified, ...
        log_curve: name of the log curve that the user states (`LOG_CURVES`), or "".
    """

    range: int = 0
    matrix: int = UNSPECIFIED_CODE_POINT
    primaries: int = UNSPECIFIED_CODE_POINT
    transfer: int = UNSPECIFIED_CODE_POINT
    log_curve: str = ""

    def matrix_for(self, height: int) -> int:
        """Return the tagged matrix; untagged, BT.601 below 720 lines and BT.709 from there on."""
        if self.matrix in _LUMA_WEIGHTS:
            return self.matrix
        return 6 if height < 720 else 1

    def range_for(self, form: PixelFormat) -> int:
        """Return the tagged range; untagged, limited for YUV and full for gray and RGB."""
        if form.kind in ("rgb", "gbrp") or form.full_range:
            return RANGE_FULL
        if self.range in (RANGE_LIMITED, RANGE_FULL):
            return self.range
        return RANGE_FULL if form.kind == "gray" else RANGE_LIMITED


def native_format_name(name: str) -> str:
    """Choose the native format that holds most of what another format holds.

    Alpha is dropped, other depths above 10 bits become 10, packed becomes planar, and deep RGB or
    gray becomes 8-bit (both are rare, and no encoder here writes them).

    Example:
        >>> native_format_name("yuva444p12le")
        'yuv444p10le'
    """
    if name in NATIVE_FORMATS:
        return name
    form = av.VideoFormat(name)
    # Gray and RGB first, then YUV by its chroma subsampling.
    parts = form.components
    if form.is_rgb or form.has_palette or form.is_bayer:
        return "rgb24"
    if len(parts) <= 2:  # gray, gray with alpha
        return "gray"
    across, down = 64 // form.chroma_width(64), 64 // form.chroma_height(64)
    base = {(1, 1): "yuv444p", (2, 1): "yuv422p", (4, 1): "yuv422p"}.get((across, down))
    if base is None:
        base = "yuv444p" if across == 1 else "yuv420p"
    full = "j" if name.startswith("yuvj") else ""
    if max(part.bits for part in parts) > 8:
        return base + "10le"
    return base.replace("yuv", "yuv" + full)


def plane_views(picture: av.VideoFrame) -> tuple[Plane, ...]:
    """Return writable views of a native picture's planes, without padding.

    Returns:
        planar: (Y [H, W], U [h, w], V [h, w]); nv12: (Y [H, W], UV [h, w, 2]); rgb24: ([H, W, 3],);
        gbrp: (G, B, R); gray: (Y,). uint8, or uint16 (little endian) above 8 bits.
    """
    form = NATIVE_FORMATS[picture.format.name]
    dtype = np.dtype("<u2") if form.bits > 8 else np.dtype(np.uint8)
    # FFmpeg pads rows; a negative line size means that rows are stored from the bottom up.
    views = []
    for number, plane in enumerate(picture.planes):
        channels = {"rgb": 3, "nv12": 1 + number}.get(form.kind, 1)
        rows = np.frombuffer(plane, dtype)  # type: ignore[call-overload]
        rows = rows.reshape(plane.height, abs(plane.line_size) // dtype.itemsize)
        if plane.line_size < 0:
            rows = rows[::-1]
        rows = rows[:, : plane.width * channels]
        views.append(rows if channels == 1 else rows.reshape(plane.height, -1, channels))
    return tuple(views)


def new_picture(name: str, width: int, height: int, planes: tuple[Plane, ...]) -> av.VideoFrame:
    """Make a picture from copies of planes.

    Args:
        name: one of `NATIVE_FORMATS`.
        width: px.
        height: px.
        planes: planes in the shapes of `plane_views`.
    """
    picture = av.VideoFrame(width, height, name)
    for target, source in zip(plane_views(picture), planes, strict=True):
        target[...] = source
    return picture


_thread_local = threading.local()


def _reformatter() -> VideoReformatter:
    """Return this thread's swscale context: it is costly to make, and not thread-safe."""
    if not hasattr(_thread_local, "reformatter"):
        _thread_local.reformatter = VideoReformatter()
    return _thread_local.reformatter


# Flags of swscale: nearest chroma, and full precision. FULL_CHR_H_INT also keeps swscale off its
# coarse tables. (Its 31 bits overflow only for samples far outside both legal luma and legal
# chroma.) They stand here as libswscale's own numbers, because PyAV names the last two only from
# version 18 on.
_SWS_BICUBIC = 0x4
_SWS_POINT = 0x10
_SWS_EXACT = _SWS_POINT | 0x2000 | 0x40000  # SWS_POINT | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND


def convert_picture(
    picture: av.VideoFrame,
    name: str,
    color: ColorTags,
    frame_height: int,
    target_range: int | None = None,
    fast: bool = False,
    size: tuple[int, int] | None = None,
) -> av.VideoFrame:
    """Convert a picture to another pixel format with swscale.

    Args:
        picture: picture to convert; it stays as it is.
        name: pixel format of the result.
        color: color tags of ``picture``.
        frame_height: height of the whole frame, px, by which an untagged matrix is chosen; a crop
            must be converted like its frame.
        target_range: 1 limited, 2 full; None keeps the range of the source.
        fast: use swscale's quick path: several times faster, 1 to 3 levels too dark.
        size: width and height of the result, px, resampled by a bicubic filter; None keeps those
            of the picture.
    """
    form = NATIVE_FORMATS.get(picture.format.name, PixelFormat(picture.format.name, "planar"))
    if picture.format.name in NATIVE_FORMATS and not fast:
        # Decoded pictures state where chroma samples lie, and swscale would shift the chroma of
        # the picture by a pixel, but not that of a crop of it. A fresh copy states nothing.
        planes = plane_views(picture)
        picture = new_picture(picture.format.name, picture.width, picture.height, planes)
        # PyAV 17 does not pass BT.2020 on to swscale, which then uses the picture's tag.
        picture.colorspace = 9 if color.matrix in (9, 10) else color.matrix_for(frame_height)
    matrix = _SWSCALE_MATRIX[color.matrix_for(frame_height)]
    source_range = color.range_for(form)
    flags = _SWS_POINT if fast else _SWS_EXACT
    width, height = size or (None, None)
    return _reformatter().reformat(
        picture,
        width=width,
        height=height,
        format=name,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=source_range,
        dst_color_range=source_range if target_range is None else target_range,
        interpolation=flags if size is None else _SWS_BICUBIC,
        threads=1,
    )


def crop_even_box(
    planes: tuple[Plane, ...], form: PixelFormat, left: int, top: int, right: int, bottom: int
) -> tuple[Plane, ...]:
    """Copy a box of YUV planes; an odd size grows by one at its far edge.

    swscale places the chroma samples of odd-sized pictures elsewhere than those of even ones, so it
    is only ever given even ones. The added row and column repeat the last.

    Args:
        planes: planes in the shapes of `plane_views`.
        form: format of the planes, which must be YUV.
        left: px, even.
        top: px, even.
        right: px, exclusive.
        bottom: px, exclusive.
    """
    width, height = right - left, bottom - top
    # Chroma cells that the box touches.
    cells = (
        slice(top // form.sub_y, -(-bottom // form.sub_y)),
        slice(left // form.sub_x, -(-right // form.sub_x)),
    )
    luma = planes[0][top:bottom, left:right]
    chroma = [plane[cells] for plane in planes[1:]]
    pad_x, pad_y = width % 2, height % 2
    if pad_x or pad_y:
        luma = np.pad(luma, ((0, pad_y), (0, pad_x)), mode="edge")
        chroma_pad = (pad_y if form.sub_y == 1 else 0, pad_x if form.sub_x == 1 else 0)
        chroma = [
            np.pad(c, [(0, chroma_pad[0]), (0, chroma_pad[1])] + [(0, 0)] * (c.ndim - 2), "edge")
            for c in chroma
        ]
    return (luma, *chroma)


def gray_to_rgb_table(full_range: bool) -> NDArray[np.uint8]:  # [256]
    """Compute the RGB level of every 8-bit gray level."""
    levels = np.arange(256, dtype=np.float32)
    if not full_range:
        levels = (levels - 16) * (255 / 219)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def rgb_to_yuv_matrix(
    matrix: int, full_range: bool, bits: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the affine map from 8-bit RGB to YUV samples, ``yuv = rgb @ weights + offset``.

    Args:
        matrix: ITU-T H.273 code point of the matrix, one that `ColorTags.matrix_for` returns.
        full_range: True if samples use the full range.
        bits: bits per YUV sample.

    Returns:
        weights [3, 3] (RGB down, YUV across) and offset [3].

    Source: ITU-T H.273, 8.3.
    """
    red, blue = _LUMA_WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    # U and V are blue and red minus luma, scaled to [-0.5, 0.5].
    u = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    v = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    step = 2.0 ** (bits - 8)
    if full_range:
        # H.273 has 2**bits - 1 here, but swscale has 255 * step, and the two must be inverse.
        scale, offset = np.full(3, 255.0) * step, np.array([0.0, 128.0, 128.0]) * step
    else:
        scale, offset = np.array([219.0, 224.0, 224.0]) * step, np.array([16.0, 128, 128]) * step
    weights = np.stack([luma, u, v], axis=1) * scale / 255
    return weights.astype(np.float32), offset.astype(np.float32)


def limit_range(
    planes: tuple[Plane, ...], form: PixelFormat, bits: int
) -> tuple[str, tuple[Plane, ...]]:
    """Bring YUV samples of full range to limited range, each rounded to the nearest.

    Args:
        planes: planes of the picture, in the shapes of `plane_views`.
        form: format of the planes, which must be YUV.
        bits: bits per sample of the result, 8, 10 or 16, at least those of ``form``.

    Returns:
        Name of the planar format of the result, and its planes.

    Source: ITU-T H.273, 8.3; full range as swscale scales it, see `rgb_to_yuv_matrix`.
    """
    step, levels = 2.0 ** (bits - 8), np.arange(2**form.bits)
    # Samples in 8-bit levels, with fractions.
    full = levels / 2.0 ** (form.bits - 8)
    luma = full * (219 / 255) + 16
    chroma = (full - 128) * (224 / 255) + 128
    dtype = np.uint16 if bits > 8 else np.uint8
    tables = [np.rint(table * step).astype(dtype) for table in (luma, chroma)]
    split = planes if form.kind == "planar" else (planes[0], *np.moveaxis(planes[1], -1, 0))
    limited = tuple(tables[min(number, 1)][plane] for number, plane in enumerate(split))
    name = {(2, 2): "yuv420p", (2, 1): "yuv422p", (1, 1): "yuv444p"}[form.sub_x, form.sub_y]
    return name + (f"{bits}le" if bits > 8 else ""), limited


def keep_whole_cells(
    mask: NDArray[np.bool_],  # [h, w]
    form: PixelFormat,
    left: int,
    top: int,
) -> NDArray[np.bool_]:  # [h, w]
    """Shrink a mask to the chroma cells of a format that lie in it as a whole.

    Pixels of a cell share their chroma, and pixels outside the mask must not change.

    Args:
        mask: part of a frame's mask. [h, w]
        form: format of the frame.
        left: column of the part's first pixel in the frame, px.
        top: row of the part's first pixel in the frame, px.

    Returns:
        True where the whole cell is inside. [h, w]

    Example:
        >>> form = NATIVE_FORMATS["yuv420p"]
        >>> keep_whole_cells(np.array([[1, 1, 1], [1, 1, 0]], bool), form, 0, 0).astype(int)
        array([[1, 1, 0],
               [1, 1, 0]])
    """
    # Pad to whole cells of the frame, keep cells that are full, and cut the padding off again.
    height, width = mask.shape
    down, across = form.sub_y, form.sub_x
    y, x = top % down, left % across
    padded = np.zeros((-(-(y + height) // down) * down, -(-(x + width) // across) * across), bool)
    padded[y : y + height, x : x + width] = mask
    blocks = padded.reshape(len(padded) // down, down, -1, across)
    # Pixel by pixel of the cells, each of them a picture: a fifth of the time of `all`.
    cells = np.logical_and.reduce([blocks[:, i, :, j] for i in range(down) for j in range(across)])
    blocks[...] = cells[:, None, :, None]
    return padded[y : y + height, x : x + width]
