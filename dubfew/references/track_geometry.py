"""Mesh, window and comparison key of every frame of a track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.crop import (
    MASK_FEATHER_FRACTION,
    FaceRegions,
    compute_track_regions,
    project_head_points,
)
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.track import Track

# A mouth's shape counts once, a head turn of 1 rad as much as lips moved by 0.15 eye distances:
# found on train clips, where it gave the best bare warp (see docs/architecture.md).
POSE_WEIGHT = 0.15


@dataclass(frozen=True)
class TrackGeometry:
    """The mesh of N frames in the image, and where to paint.

    Attributes:
        vertices: x, y in px of the whole frame, depth in m. [N, V, 3]
        regions: boxes, windows and masks.
        key: mouth shape and head pose, to compare frames by Euclidean distance, in inter-ocular
            distances. [N, D]
    """

    vertices: NDArray[np.float32]
    regions: FaceRegions
    key: NDArray[np.float32]

    def vertices_in_window(self, row: int, window_size: int) -> NDArray[np.float32]:
        """Vertices of one frame in pixels of its window drawn ``window_size`` px wide. [V, 3]"""
        left, top, side = self.regions.window[row]
        scaled = self.vertices[row].copy()
        scaled[:, :2] = (scaled[:, :2] - (left, top)) * (window_size / side)
        return scaled

    def hull_in_window(self, row: int, window_size: int) -> NDArray[np.float32]:
        """Corners of one frame's mask in pixels of its window. [48, 2]"""
        left, top, side = self.regions.window[row]
        return (self.regions.hull[row] - (left, top)) * (window_size / side)


def compute_track_geometry(track: Track, head: HeadModel) -> TrackGeometry:
    """Mesh, windows and keys of a track (a block of frames at a time keeps memory small)."""
    vertices = head.vertices(track.shape, track.expression, track.jaw, track.neck)
    return TrackGeometry(
        project_head_points(vertices, track),
        compute_track_regions(track, head),
        compute_frame_keys(track, head),
    )


def compute_frame_keys(track: Track, head: HeadModel) -> NDArray[np.float32]:
    """What makes two frames of one actor alike for a reference, see `Geometry.key`. [N, D]"""
    lips = head.point_matrix(OUTER_LIPS + INNER_LIPS)
    posed = np.matmul(lips, head.vertices(track.shape, track.expression, track.jaw))
    shape = posed / head.inter_ocular_distance(track.shape)
    # Mean over the lips' points, so that the number of points does not set the scale.
    shape = shape.reshape(len(track), -1) / np.sqrt(lips.shape[0])
    return np.concatenate([shape, POSE_WEIGHT * track.rotation], 1).astype(np.float32)


def feather_width(window_size: int) -> float:
    """Width of the mask's fade in a window drawn ``window_size`` px wide, px."""
    return MASK_FEATHER_FRACTION * window_size
