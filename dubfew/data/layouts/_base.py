"""The interface of a crop layout: places of the crop, its mask, and the opacity of the painting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from dubfew.reconstruction.crop import (
    FaceRegions,
    SurfaceRegion,
    compute_track_regions,
    make_mouth_region,
    project_rest_meshes,
    render_soft_mask,
)
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.utils.smoothstep import smoothstep

# Width of the fade at the edge of a painting, as a fraction of the crop's width: a fade of 8 px in
# a crop of 256 px hides a step of light, and leaves the lips of a small face opaque.
PASTE_FEATHER_FRACTION = 0.03
# Standard deviation of a Gaussian fade, as a fraction of the crop's width: the fade is as wide as
# the one above. IPTalker's paper smooths its paste mask so and says no width.
GAUSSIAN_FADE_FRACTION = 0.02

# Openings of the jaw that a mask encloses, as fractions of a fully open one.
MASK_JAW_OPENINGS = (0.0, 0.5, 1.0)

# ``texture``: a region of the head's surface, rasterized; ``hull``: a convex polygon.
MaskShape: TypeAlias = Literal["texture", "hull"]
# ``step``: a smooth step of the distance from the edge; ``gaussian``: the shape, blurred.
PasteFade: TypeAlias = Literal["step", "gaussian"]


@dataclass(frozen=True)
class CropGeometry:
    """Where the crops of N frames lie, and what is masked in them. Frame px.

    Attributes:
        boxes: left, top, right, bottom of each crop. [N, 4]
        mask_hulls: corners of the convex polygon that is blanked, in order, padded with the last
            corner. [N, 48, 2]
        paste_hulls: corners of the polygon inside of which the painting is shown. [N, 48, 2]
        mask_meshes: meshes at rest with J opened jaws, x and y in px, depth in m, for layouts whose
            mask is a region of the head's surface; J is 0 for others. [N, J, V, 3]
        mask_region: that region; None for other layouts.
    """

    boxes: NDArray[np.float32]
    mask_hulls: NDArray[np.float32]
    paste_hulls: NDArray[np.float32]
    mask_meshes: NDArray[np.float32]
    mask_region: SurfaceRegion | None

    def __len__(self) -> int:
        return len(self.boxes)


# Boxes [N, 4], mask hulls [N, 48, 2] and paste hulls [N, 48, 2] of a track, px of the frame.
Placement: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class CropLayout:
    """One entry of `dubfew.data.layouts.LAYOUTS`.

    Attributes:
        height: rows of the crop, px.
        width: columns of the crop, px.
        place: computes boxes, mask hulls and paste hulls of a track from its regions.
        mask: shape of the blanked part.
        fade: how the painting fades at the edge of the part that is shown.
    """

    height: int
    width: int
    place: Callable[[Track, HeadModel, FaceRegions], Placement]
    mask: MaskShape = "hull"
    fade: PasteFade = "step"

    def shrunk(self, factor: int) -> CropLayout:
        """Return the same crop with a fraction of the pixels, for smaller networks.

        Args:
            factor: whole number that divides height and width.

        Raises:
            ValueError: The factor does not divide the size.
        """
        if factor < 1 or self.height % factor or self.width % factor:
            raise ValueError(
                f"a crop of {self.height} x {self.width} px cannot be shrunk by {factor}"
            )
        return replace(self, height=self.height // factor, width=self.width // factor)

    def compute_geometry(self, track: Track, head: HeadModel) -> CropGeometry:
        """Compute places and masks of all frames of a track.

        Args:
            track: N frames.
            head: head model of the track.
        """
        boxes, mask_hulls, paste_hulls = self.place(track, head, compute_track_regions(track, head))
        meshes = np.zeros((len(track), 0, len(head.template), 3), np.float32)
        region = None
        if self.mask == "texture":
            meshes = project_rest_meshes(track, head, MASK_JAW_OPENINGS)
            region = make_mouth_region(head)
        return CropGeometry(boxes, mask_hulls, paste_hulls, meshes, region)

    def to_crop(self, points: NDArray, box: NDArray) -> NDArray[np.float32]:
        """Convert points of the frame to px of the crop.

        Args:
            points: x and y, and further values that stay as they are. [..., 2 or more]
            box: left, top, right, bottom of the crop in the frame, px. [4]
        """
        scale = (self.width / (box[2] - box[0]), self.height / (box[3] - box[1]))
        moved = np.array(points, np.float32)
        moved[..., :2] = (moved[..., :2] - box[:2]) * np.array(scale, np.float32)
        return moved

    def render_mask(self, geometry: CropGeometry, row: int) -> NDArray[np.bool_]:
        """Draw the blanked part of one crop, the same however far the jaw is open.

        Args:
            geometry: from `compute_geometry`.
            row: the frame.

        Returns:
            True where the crop is blanked. [height, width]
        """
        box = geometry.boxes[row]
        if geometry.mask_region is not None:
            # Where the region lies with any of the jaws.
            inside = np.zeros((self.height, self.width), bool)
            for mesh in geometry.mask_meshes[row]:
                placed = self.to_crop(mesh, box)
                inside |= geometry.mask_region.rasterize(placed, self.height, self.width)
            return inside
        hull = self.to_crop(geometry.mask_hulls[row], box)
        # The narrowest fade counts every pixel whose center is inside.
        return render_soft_mask(hull, 1e-3, 0.0, 0.0, 1.0, self.height, self.width) > 0

    def render_opacity(self, geometry: CropGeometry, row: int) -> NDArray[np.float32]:
        """Draw how opaque the painting of one crop is: 0 outside of the part that is shown.

        Args:
            geometry: from `compute_geometry`.
            row: the frame.

        Returns:
            Opacity in [0, 1], which fades to 0 inside of the part. [height, width]
        """
        feather = PASTE_FEATHER_FRACTION * self.width
        if self.mask == "texture":
            # Distances to the nearest pixel outside, from a pixel's center to its edge.
            inside = np.pad(self.render_mask(geometry, row), 1)
            distance = np.clip(distance_transform_edt(inside)[1:-1, 1:-1] - 0.5, 0, None)
            return smoothstep(0, feather, distance).astype(np.float32)
        hull = self.to_crop(geometry.paste_hulls[row], geometry.boxes[row])
        if self.fade == "gaussian":
            inside = render_soft_mask(hull, 1e-3, 0.0, 0.0, 1.0, self.height, self.width) > 0
            return fade_by_gaussian(inside, GAUSSIAN_FADE_FRACTION * self.width)
        return render_soft_mask(hull, feather, 0.0, 0.0, 1.0, self.height, self.width)


def fade_by_gaussian(
    inside: NDArray[np.bool_],  # [H, W]
    deviation: float,
) -> NDArray[np.float32]:  # [H, W]
    """Blur a shape, and keep the half of the fade that lies inside of it.

    The blurred shape is 1/2 at its edge; what exceeds that is stretched to 1, so that nothing
    outside of the shape is shown. Beside the picture is nothing, so the picture's edge is an edge.

    Args:
        inside: the shape. [H, W]
        deviation: standard deviation of the Gaussian, px.

    Returns:
        Opacity in [0, 1]. [H, W]
    """
    blurred = gaussian_filter(inside.astype(np.float32), deviation, mode="constant")
    return np.where(inside, np.clip(2 * blurred - 1, 0, 1), 0).astype(np.float32)


def rectangle_hulls(boxes: NDArray, corners: int = 48) -> NDArray[np.float32]:
    """Turn boxes into polygons with repeated last corners.

    Args:
        boxes: left, top, right, bottom. [N, 4]
        corners: corners of each polygon, 4 or more.

    Returns:
        Corners in order. [N, corners, 2]
    """
    left, top, right, bottom = np.asarray(boxes, np.float32).T
    four = np.stack(
        [
            np.stack(point, -1)
            for point in ((left, top), (right, top), (right, bottom), (left, bottom))
        ],
        1,
    )
    return np.concatenate([four, np.repeat(four[:, -1:], corners - 4, 1)], 1)
