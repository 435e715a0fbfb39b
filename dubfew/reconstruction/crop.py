"""Crop box, window and mouth mask: jaw-independent, steady, made from the fitted head.

The network, and anybody who looks at its input, must not be able to tell from a box or a mask
how far the jaw is open. So all of them are made from the head with its expression at rest and
the jaw once fully closed and once fully open, united (paper 003, sec. 3.2 and A.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from dubfew.reconstruction.heads.head_model import MAX_JAW_OPENING_RADIANS, HeadModel
from dubfew.reconstruction.projection import project_posed_points, rotvecs_to_matrices
from dubfew.reconstruction.track import Camera, Track
from dubfew.utils.jit import njit_cached

# The mask is the convex hull of these landmarks: below the nose, cheeks, jaw line, chin.
MOUTH_MASK_LANDMARKS = (
    2, 97, 326, 98, 327, 203, 423, 206, 426, 207, 427, 192, 416, 214, 434, 135, 364, 169, 394,
    170, 395, 140, 369, 171, 396, 175, 136, 365, 150, 379, 149, 378, 176, 400, 148, 377, 152,
)  # fmt: skip
HEAD_BOX_SCALE = 1.12  # the crop is this much larger than the head
MOUTH_WINDOW_SCALE = 1.22  # the window is this much larger than the mask: context for the seam
MASK_FEATHER_FRACTION = (
    0.075  # the mask fades over this share of the window's side, all inside the hull
)
NUM_HULL_CORNERS = 48  # hulls are stored with this many corners
PROJECTION_BLOCK_FRAMES = 256  # frames whose points are held at once


@dataclass(frozen=True)
class FaceRegions:
    """Where to look and where to paint, for N frames, px.

    Attributes:
        box: square crop of the head: left, top, right, bottom. [N, 4]
        window: square around the mask: left, top, side. [N, 3]
        hull: corners of the convex mask in order (the last one repeated to fill). [N, 48, 2]
    """

    box: NDArray[np.float32]
    window: NDArray[np.float32]
    hull: NDArray[np.float32]


def compute_face_regions(
    head: HeadModel,
    shape: NDArray,  # [S]
    rotation: NDArray,  # [N, 3] rad
    translation: NDArray,  # [N, 3] m
    camera: Camera,
) -> FaceRegions:
    """Boxes, windows and masks of N frames of one identity."""
    jaws = np.array([[0, 0, 0], [MAX_JAW_OPENING_RADIANS, 0, 0]], np.float32)
    still = np.zeros((2, len(head.expression_basis)), np.float32)
    both = head.vertices(shape, still, jaws)
    ring = np.matmul(head.point_matrix(MOUTH_MASK_LANDMARKS), both).reshape(1, -1, 3)
    outline = both[:, head.landmark_matrix().any(0)].reshape(1, -1, 3)
    box = np.empty((len(rotation), 4), np.float32)
    window = np.empty((len(rotation), 3), np.float32)
    hull = np.empty((len(rotation), NUM_HULL_CORNERS, 2), np.float32)
    for start in range(0, len(rotation), PROJECTION_BLOCK_FRAMES):
        rows = slice(start, start + PROJECTION_BLOCK_FRAMES)
        placed = rotvecs_to_matrices(rotation[rows]), translation[rows], camera
        image = _project_static_points(outline, *placed)
        low, high = image.min(1), image.max(1)
        centre, side = (low + high) / 2, (high - low).max(1, keepdims=True) * HEAD_BOX_SCALE
        box[rows] = np.concatenate([centre - side / 2, centre + side / 2], 1)

        image = _project_static_points(ring, *placed)
        low, high = image.min(1), image.max(1)
        centre, side = (low + high) / 2, (high - low).max(1, keepdims=True) * MOUTH_WINDOW_SCALE
        window[rows] = np.concatenate([centre - side / 2, side], 1)
        for row, points in enumerate(image, start):
            hull[row] = _padded_convex_hull(points)
    return FaceRegions(box, window, hull)


def _project_static_points(
    points: NDArray, rotation: NDArray, translation: NDArray, camera: Camera
) -> NDArray[np.float32]:
    """The same head-space points [1, P, 3] in every frame's image. [N, P, 2]"""
    repeated = np.repeat(points, len(rotation), 0)
    return project_posed_points(repeated, rotation, translation, camera)[..., :2]


def compute_track_regions(track: Track, head: HeadModel) -> FaceRegions:
    """Boxes, windows and masks of a whole track."""
    return compute_face_regions(head, track.shape, track.rotation, track.translation, track.camera)


def _padded_convex_hull(points: NDArray) -> NDArray[np.float32]:
    corners = points[ConvexHull(points).vertices][:NUM_HULL_CORNERS]
    filled = np.concatenate([corners, np.repeat(corners[-1:], NUM_HULL_CORNERS - len(corners), 0)])
    return filled.astype(np.float32)


def render_soft_mask(
    hull: NDArray[np.float32],  # [48, 2] px
    feather_width: float,
    left: float,
    top: float,
    pixel_size: float,
    height: int,
    width: int,
) -> NDArray[np.float32]:  # [height, width]
    """Opacity of the paint: 0 on and outside the hull, rising to 1 over ``feather_width`` px
    inside.

    Args:
        hull: corners of a convex polygon, px. [48, 2]
        feather_width: width of the fade, px.
        left: image x of the mask's left edge, px.
        top: image y of the mask's top edge, px.
        pixel_size: image px per mask pixel.
        height: rows of the mask.
        width: columns of the mask.

    Returns:
        Opacity in [0, 1], sampled at pixel centres. [height, width]
    """
    out = np.empty((height, width), np.float32)
    _soft_mask_kernel(
        np.ascontiguousarray(hull, np.float32), feather_width, left, top, pixel_size, out
    )
    return out


@njit_cached
def _soft_mask_kernel(hull, feather_width, left, top, pixel_size, out):
    count = len(hull)
    area = 0.0
    for k in range(count):
        j = (k + 1) % count
        area += hull[k, 0] * hull[j, 1] - hull[j, 0] * hull[k, 1]
    turn = 1.0 if area > 0 else -1.0
    # Distance to each edge's line is a x + b y + c.
    lines = np.empty((count, 3))
    edges = 0
    for k in range(count):
        j = (k + 1) % count
        ex = hull[j, 0] - hull[k, 0]
        ey = hull[j, 1] - hull[k, 1]
        length = (ex * ex + ey * ey) ** 0.5
        if length < 1e-6:
            continue
        lines[edges, 0] = -turn * ey / length
        lines[edges, 1] = turn * ex / length
        lines[edges, 2] = turn * (ey * hull[k, 0] - ex * hull[k, 1]) / length
        edges += 1
    for row in range(out.shape[0]):
        y = top + (row + 0.5) * pixel_size
        for column in range(out.shape[1]):
            x = left + (column + 0.5) * pixel_size
            inside = feather_width
            for k in range(edges):
                distance = lines[k, 0] * x + lines[k, 1] * y + lines[k, 2]
                if distance < inside:
                    inside = distance
                    if inside <= 0:
                        break
            t = max(inside, 0.0) / feather_width
            out[row, column] = t * t * (3 - 2 * t)


def render_mouth_mask(
    track: Track, head: HeadModel, frame_index: int, height: int, width: int
) -> NDArray:
    """Opacity of one frame's mouth mask over the whole image. [height, width]"""
    one = compute_track_regions(track.select([frame_index]), head)
    feather = MASK_FEATHER_FRACTION * float(one.window[0, 2])
    return render_soft_mask(one.hull[0], feather, 0.0, 0.0, 1.0, height, width)
