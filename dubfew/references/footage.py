"""One actor's footage as the renderer sees it: mouth windows with their meshes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.errors import ShapeError
from dubfew.references.background_points import find_background_points
from dubfew.utils.arrays import FloatArray

# Arrays of `Footage` in the order of its fields. Files store them under these names
# (`dubfew.data.footage_io`), so that a change needs a new format version.
FOOTAGE_ARRAY_NAMES = ("images", "vertices", "hulls", "key", "motion", "frames")


@dataclass(frozen=True)
class Footage:
    """Windows of N frames of one actor.

    Attributes:
        images: RGB mouth windows. [N, S, S, 3] uint8
        vertices: projected mesh, x and y in window px, depth in m. [N, V, 3]
        hulls: corners of the mouth mask in window px. [N, 48, 2]
        key: mouth shape and pose, see `dubfew.references.track_geometry.TrackGeometry`. [N, D]
        motion: displacement of the mouth points, inter-ocular distances. [N, P, 3]
        frames: number of each frame in the clip. [N]

    Raises:
        ShapeError: The arrays do not have these shapes.
    """

    images: NDArray[np.uint8]
    vertices: NDArray[np.float32]
    hulls: NDArray[np.float32]
    key: NDArray[np.float32]
    motion: NDArray[np.float32]
    frames: NDArray[np.int64]

    def __post_init__(self) -> None:
        # The images set the number of frames and the size; padded, so that images of too few
        # axes fail the check below rather than here.
        n, size = (*self.images.shape[:2], 0, 0)[:2]
        expected: dict[str, tuple[int | None, ...]] = {
            "images": (n, size, size, 3),
            "vertices": (n, None, 3),
            "hulls": (n, None, 2),
            "key": (n, None),
            "motion": (n, None, 3),
            "frames": (n,),
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if len(found) != len(shape) or any(
                e not in (None, f) for e, f in zip(shape, found, strict=True)
            ):
                wanted = ", ".join("any" if e is None else str(e) for e in shape)
                raise ShapeError(f"footage {name} have shape {found}, expected ({wanted})")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def window_size(self) -> int:
        """Return the edge of the windows, px."""
        return int(self.images.shape[1])

    @cached_property
    def background_points(self) -> FloatArray:
        """Return which points of the mesh lie beside the face: see `find_background_points`. [N, V]

        Windows that are read from the disk as needed, as those of a training on many people, are
        not read for this: there no point counts as background.
        """
        if not isinstance(self.images, np.ndarray):
            return np.zeros(self.vertices.shape[:2], np.float32)
        return find_background_points(self.images, self.vertices)

    def select_frames(self, rows: NDArray | Sequence[int]) -> Footage:
        """Return only these rows, in this order.

        Args:
            rows: numbers of the frames, in the new order. [n]
        """
        index = np.asarray(rows, np.int64)
        return Footage(*(getattr(self, name)[index] for name in FOOTAGE_ARRAY_NAMES))

    def project_points(
        self,
        rows: NDArray,  # [M]
        matrix: NDArray[np.float32],  # [P, V]
    ) -> NDArray[np.float32]:  # [M, P, 2]
        """Return points of the mesh in some windows, as `grid_sample` counts them.

        Args:
            rows: rows of the windows. [M]
            matrix: linear map from vertices to points. [P, V]

        Returns:
            x and y, -1 to 1 over the window. [M, P, 2]
        """
        points = np.matmul(matrix, self.vertices[rows, :, :2])
        return (points * np.float32(2 / self.window_size) - 1).astype(np.float32)


def resize_footage(footage: Footage, size: int) -> Footage:
    """Draw the windows at another size; meshes and masks follow.

    Args:
        footage: windows of any size.
        size: new edge of the windows, px.

    Returns:
        New footage, or ``footage`` itself where it has this size already.
    """
    if footage.window_size == size:
        return footage
    ratio = size / footage.window_size
    # Pillow's bilinear filter averages over all source pixels when it shrinks.
    images = [
        np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
        for image in footage.images
    ]
    # Depth is in m and stays.
    scale = np.array([ratio, ratio, 1], np.float32)
    return replace(
        footage,
        images=np.stack(images),
        vertices=footage.vertices * scale,
        hulls=footage.hulls * np.float32(ratio),
    )
