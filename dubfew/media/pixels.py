"""Pixel formats that dubfew works on, their planes as arrays, and colour arithmetic.

YUV to RGB is swscale's, with flags that make it exact to the rounding (its default path
is up to three levels too dark) and repeat chroma samples instead of interpolating them.
RGB to YUV is a matrix product. The two are each other's inverse up to 8-bit rounding.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

Plane = NDArray[Any]  # uint8 or uint16: [H,W] or [H,W,C]


@dataclass(frozen=True)
class PixelFormat:
    """How a picture's samples lie in memory.

    Attributes:
        kind: "planar" (Y, U, V), "nv12" (Y, UV), "rgb", "gbrp" (G, B, R) or "gray".
        sub_x, sub_y: luma samples per chroma sample, across and down.
        bits: per sample; more than 8 means uint16.
        full_range: True when the format itself says full range (the yuvj family).
    """

    name: str
    kind: str
    sub_x: int = 1
    sub_y: int = 1
    bits: int = 8
    full_range: bool = False

    @property
    def is_yuv(self) -> bool:
        return self.kind in ("planar", "nv12")


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
        PixelFormat("nv12", "nv12", 2, 2),
        PixelFormat("rgb24", "rgb"),
        PixelFormat("gbrp", "gbrp"),
        PixelFormat("gray", "gray"),
    )
}

RANGE_LIMITED, RANGE_FULL = 1, 2
UNSPECIFIED_CODE_POINT = 2  # of matrix, primaries and transfer; the range's "unspecified" is 0

# Code point of the matrix (ITU-T H.273) -> weight of red and of blue in luma.
_LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),  # BT.2020 constant luminance, taken as the former
}
# The same code points in swscale's own numbering.
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


@dataclass(frozen=True)
class ColorTags:
    """Colour tags of a picture: ITU-T H.273 code points, as FFmpeg numbers them.

    Attributes:
        range: 0 unspecified, 1 limited (16-235), 2 full (0-255).
        matrix, primaries, transfer: 2 = unspecified, 1 = BT.709, ...
    """

    range: int = 0
    matrix: int = UNSPECIFIED_CODE_POINT
    primaries: int = UNSPECIFIED_CODE_POINT
    transfer: int = UNSPECIFIED_CODE_POINT

    def matrix_for(self, height: int) -> int:
        """The tagged matrix or, untagged, BT.601 below 720 lines and BT.709 from there on."""
        if self.matrix in _LUMA_WEIGHTS:
            return self.matrix
        return 6 if height < 720 else 1

    def range_for(self, form: PixelFormat) -> int:
        """The tagged range or, untagged, limited for YUV and full for grey and RGB."""
        if form.kind in ("rgb", "gbrp") or form.full_range:
            return RANGE_FULL
        if self.range in (RANGE_LIMITED, RANGE_FULL):
            return self.range
        return RANGE_FULL if form.kind == "gray" else RANGE_LIMITED


def native_format_name(name: str) -> str:
    """The format of ``NATIVE_FORMATS`` that holds most of what format ``name`` holds.

    Alpha is dropped, depths above 10 bits become 10, packed becomes planar, and deep RGB
    or grey becomes 8-bit (they are rare and no encoder here writes them).
    """
    if name in NATIVE_FORMATS:
        return name
    form = av.VideoFormat(name)
    parts = form.components
    if form.is_rgb or form.has_palette or form.is_bayer:
        return "rgb24"
    if len(parts) <= 2:  # grey, grey with alpha
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
    """Writable views of the planes of a picture in a native format, without padding.

    Returns:
        planar: (Y[H,W], U[h,w], V[h,w]); nv12: (Y[H,W], UV[h,w,2]); rgb24: ([H,W,3],);
        gbrp: (G, B, R); gray: (Y,). uint8, or uint16 (little endian) above 8 bits.
    """
    form = NATIVE_FORMATS[picture.format.name]
    dtype = np.dtype("<u2") if form.bits > 8 else np.dtype(np.uint8)
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
    """A picture in format ``name`` with copies of ``planes``."""
    picture = av.VideoFrame(width, height, name)
    for target, source in zip(plane_views(picture), planes, strict=True):
        target[...] = source
    return picture


_thread_local = threading.local()


def _reformatter() -> VideoReformatter:
    # swscale's context costs more than a small conversion, and it is not thread-safe.
    if not hasattr(_thread_local, "reformatter"):
        _thread_local.reformatter = VideoReformatter()
    return _thread_local.reformatter


# Nearest chroma, full precision. FULL_CHR_H_INT also keeps swscale off its coarse tables.
# (Its 31 bits overflow only for samples far outside both legal luma and legal chroma.)
# As libswscale's own numbers, because PyAV names the last two only from version 18 on.
_SWS_POINT = 0x10
_SWS_EXACT = _SWS_POINT | 0x2000 | 0x40000  # SWS_POINT | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND


def convert_picture(
    picture: av.VideoFrame,
    name: str,
    color: ColorTags,
    frame_height: int,
    target_range: int | None = None,
    fast: bool = False,
) -> av.VideoFrame:
    """``picture`` in pixel format ``name`` (swscale).

    Args:
        color: tags of ``picture``.
        frame_height: height of the whole frame, by which an untagged matrix is chosen.
        target_range: 1 or 2; None keeps the range of the source.
        fast: swscale's quick path: several times faster, 1 to 3 levels too dark.
    """
    form = NATIVE_FORMATS.get(picture.format.name, PixelFormat(picture.format.name, "planar"))
    if picture.format.name in NATIVE_FORMATS and not fast:
        # A fresh copy says nothing of where chroma is sited. Decoded pictures do, and
        # swscale would shift their chroma by a pixel, but not that of a crop of them.
        planes = plane_views(picture)
        picture = new_picture(picture.format.name, picture.width, picture.height, planes)
        # PyAV 17 does not pass BT.2020 on to swscale, which then goes by the picture's tag.
        picture.colorspace = 9 if color.matrix in (9, 10) else color.matrix_for(frame_height)
    matrix = _SWSCALE_MATRIX[color.matrix_for(frame_height)]
    source_range = color.range_for(form)
    return _reformatter().reformat(
        picture,
        format=name,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=source_range,
        dst_color_range=source_range if target_range is None else target_range,
        interpolation=_SWS_POINT if fast else _SWS_EXACT,
        threads=1,
    )


def crop_even_box(
    planes: tuple[Plane, ...], form: PixelFormat, left: int, top: int, right: int, bottom: int
) -> tuple[Plane, ...]:
    """Copies of a box of YUV planes. left, top are even; an odd size grows at its far edge.

    swscale places chroma samples of odd-sized pictures elsewhere than those of even ones,
    so it is only ever given even ones; the added row and column repeat the last.
    """
    width, height = right - left, bottom - top
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
    """RGB level of every 8-bit grey level."""
    levels = np.arange(256, dtype=np.float32)
    if not full_range:
        levels = (levels - 16) * (255 / 219)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def rgb_to_yuv_matrix(
    matrix: int, full_range: bool, bits: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The affine map from 8-bit RGB to YUV samples: ``yuv = rgb @ weights + offset``.

    Returns:
        weights [3,3] (RGB down, YUV across) and offset [3].

    Source: ITU-T H.273, 8.3.
    """
    red, blue = _LUMA_WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    u = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    v = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    step = 2.0 ** (bits - 8)
    if full_range:
        # H.273 says 2**bits - 1; swscale reads 255 * step, and the two must undo each other.
        scale, offset = np.full(3, 255.0) * step, np.array([0.0, 128.0, 128.0]) * step
    else:
        scale, offset = np.array([219.0, 224.0, 224.0]) * step, np.array([16.0, 128, 128]) * step
    weights = np.stack([luma, u, v], axis=1) * scale / 255
    return weights.astype(np.float32), offset.astype(np.float32)
