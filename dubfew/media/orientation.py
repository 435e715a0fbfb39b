"""Rotation and mirroring of pictures to upright, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from dubfew.media.pixels import NATIVE_FORMATS, Plane, new_picture, plane_views


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to turn a picture: transpose first, then mirror.

    Attributes:
        swaps_axes: rows become columns.
        mirror_x: mirror the result left to right.
        mirror_y: mirror the result top to bottom.
    """

    swaps_axes: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def from_picture(cls, picture: av.VideoFrame) -> Orientation:
        """Read the turn from a decoded picture; other angles go to the nearest right angle."""
        data: Any = picture.side_data.get("DISPLAYMATRIX")
        if data is None:
            return cls()
        # Stored x, y go to a*x + c*y, b*x + d*y on the display (16.16 fixed point).
        a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(swaps_axes=True, mirror_x=c < 0, mirror_y=b < 0)
        return cls(mirror_x=a < 0, mirror_y=d < 0)

    @property
    def degrees(self) -> int:
        """Return the clockwise rotation of the picture, degrees: 0, 90, 180 or 270."""
        if self.swaps_axes:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def pixel_format(self, name: str, width: int, height: int) -> str:
        """Return the pixel format of the turned picture.

        Args:
            name: one of `NATIVE_FORMATS`.
            width: width of the upright picture, px.
            height: height of the upright picture, px.

        Returns:
            ``name``, or its sibling without chroma subsampling where the turn would put chroma
                cells
            across pixel borders (4:2:2 on its side; odd sizes mirrored).
        """
        form = NATIVE_FORMATS[name]
        across = form.sub_y if self.swaps_axes else form.sub_x
        down = form.sub_x if self.swaps_axes else form.sub_y
        # True if mirroring would cut a chroma cell.
        cut = (self.mirror_x and width % across) or (self.mirror_y and height % down)
        if self != Orientation() and (cut or (self.swaps_axes and form.sub_x != form.sub_y)):
            return "yuv444p" if name == "nv12" else name.replace("420", "444").replace("422", "444")
        return name

    def apply(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Turn a picture that is in the format given by `pixel_format`."""
        planes = tuple(self._turn_plane(plane) for plane in plane_views(picture))
        width, height = picture.width, picture.height
        if self.swaps_axes:
            width, height = height, width
        return new_picture(picture.format.name, width, height, planes)

    def _turn_plane(self, plane: Plane) -> Plane:
        """Turn one plane."""
        if self.swaps_axes:
            # A contiguous transpose first: copying mirrored and transposed at once is slower.
            plane = np.ascontiguousarray(plane.swapaxes(0, 1))
        return plane[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]
