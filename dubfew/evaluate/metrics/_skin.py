"""The skin around the lips that a dub repaints, and the edge of what it repaints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import ConvexHull, QhullError
from skimage.draw import polygon

from dubfew.evaluate.face_geometry import PixelBox, eye_corner_distance
from dubfew.evaluate.metrics._base import FramePair
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS

# Factor by which the lips' outline is enlarged before it is left out of the skin: landmarks lie
# inside of the red of the lips, and a shadow lies below them.
LIP_OUTLINE_SCALE = 1.25
# Fewest pixels of skin that are measured.
MIN_SKIN_PIXELS = 16
# Distance from the edge of the repainted region within which its seam is looked for, as a fraction
# of the distance of the eye corners, and the least, px. Feathered edges are about as wide.
SEAM_REACH, MIN_SEAM_REACH_PX = 0.06, 4


@dataclass(frozen=True)
class EditedPart:
    """The part of a frame that may change.

    Attributes:
        box: smallest box around the editable pixels, widened by the reach of the seam, px.
        skin: editable pixels outside of both clips' lips, in the box. [h, w]
        depth: distance of each pixel of the box from the edge of the editable region, px; positive
            inside. [h, w]
        reach: distance within which a seam is looked for, px.
    """

    box: PixelBox
    skin: NDArray[np.bool_]
    depth: NDArray[np.float32]
    reach: int


def find_edited_part(pair: FramePair) -> EditedPart | None:
    """Find the part of a frame that may change; None if it may not change or shows no face."""
    return pair.compute_once(_find_edited_part)


def _find_edited_part(pair: FramePair) -> EditedPart | None:
    landmarks = pair.reference_landmarks
    if pair.editable is None or landmarks is None or not pair.editable.any():
        return None
    distance = float(eye_corner_distance(landmarks[None])[0])
    reach = max(MIN_SEAM_REACH_PX, round(SEAM_REACH * distance))
    rows, columns = (np.flatnonzero(pair.editable.any(axis)) for axis in (1, 0))
    height, width = pair.editable.shape
    box = PixelBox(
        max(0, int(columns[0]) - reach),
        max(0, int(rows[0]) - reach),
        min(width, int(columns[-1]) + reach + 1),
        min(height, int(rows[-1]) + reach + 1),
    )
    inside = box.crop(pair.editable)
    # Outside of the frame nothing is editable, so an edge of the frame is one of the region, too.
    padded = np.pad(inside, 1)
    # From pixel centers to the edge between two pixels.
    depth = np.where(
        padded, distance_transform_edt(padded) - 0.5, 0.5 - distance_transform_edt(~padded)
    )
    skin = inside.copy()
    for each in (landmarks, pair.output_landmarks):
        if each is not None:
            skin &= ~_fill_lips(each, box)
    return EditedPart(box, skin, depth[1:-1, 1:-1].astype(np.float32), reach)


def _fill_lips(landmarks: NDArray[np.float32], box: PixelBox) -> NDArray[np.bool_]:
    """Fill the enlarged outline of the lips. [h, w]"""
    points = landmarks[list(OUTER_LIPS), :2].astype(np.float64)
    points = points.mean(0) + (points - points.mean(0)) * LIP_OUTLINE_SCALE
    filled = np.zeros((box.height, box.width), np.bool_)
    try:
        hull = points[ConvexHull(points).vertices]
    except QhullError:  # all points on one line
        return filled
    # Pixel centers lie at +0.5, those of skimage at whole numbers.
    rows, columns = polygon(
        hull[:, 1] - box.top - 0.5, hull[:, 0] - box.left - 0.5, (box.height, box.width)
    )
    filled[rows, columns] = True
    return filled
