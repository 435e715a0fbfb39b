"""Mesh, mouth window and comparison key of every frame of a track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.crop import MASK_FEATHER_FRACTION, FaceRegions, compute_track_regions
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.projection import project_head_points
from dubfew.reconstruction.track import Track

# Weight of head rotation beside mouth shape in a key: a head turned by 1 rad is as far away as lips
# moved by 0.15 inter-ocular distances. Found on training clips, where it gave the best warp without
# a network; the result is flat around it (docs/findings.md, "Choice of references").
POSE_WEIGHT = 0.15


@dataclass(frozen=True)
class TrackGeometry:
    """The mesh of N frames in the image, and the regions to paint.

    Attributes:
        vertices: x and y in px of the whole frame, depth in m. [N, V, 3]
        regions: face boxes, mouth windows and mouth masks.
        key: mouth shape and head pose, whose Euclidean distance says how alike two frames of one
            actor are, in inter-ocular distances; the last three entries are the rotation. [N, D]
    """

    vertices: NDArray[np.float32]
    regions: FaceRegions
    key: NDArray[np.float32]

    def vertices_in_window(self, row: int, window_size: int) -> NDArray[np.float32]:
        """Return the mesh of one frame in pixels of its window.

        Args:
            row: the frame.
            window_size: edge of the window as drawn, px.

        Returns:
            x and y in window px, depth in m. [V, 3]
        """
        left, top, side = self.regions.window[row]
        scaled = self.vertices[row].copy()
        scaled[:, :2] = (scaled[:, :2] - (left, top)) * (window_size / side)
        return scaled

    def hull_in_window(self, row: int, window_size: int) -> NDArray[np.float32]:
        """Return the corners of one frame's mouth mask in pixels of its window.

        Args:
            row: the frame.
            window_size: edge of the window as drawn, px.

        Returns:
            Corners of a convex polygon, window px. [48, 2]
        """
        left, top, side = self.regions.window[row]
        return (self.regions.hull[row] - (left, top)) * (window_size / side)


def compute_track_geometry(
    track: Track, head: HeadModel, regions: FaceRegions | None = None
) -> TrackGeometry:
    """Compute meshes, regions and keys of a track.

    All meshes are in memory at once: give long tracks in blocks, by `Track.select`.

    Args:
        track: N frames.
        head: the track's head model.
        regions: those of another track with the same head and poses, whatever its mouths; None to
            compute them.
    """
    vertices = head.vertices(track.shape, track.expression, track.jaw, track.neck)
    return TrackGeometry(
        project_head_points(vertices, track),
        compute_track_regions(track, head) if regions is None else regions,
        compute_frame_keys(track, head),
    )


def compute_frame_keys(track: Track, head: HeadModel) -> NDArray[np.float32]:
    """Compute the vectors by which frames of one actor are compared.

    Args:
        track: N frames.
        head: the track's head model.

    Returns:
        Positions of the lips' points in head space, then the weighted head rotation, such that
        Euclidean distances are in inter-ocular distances. [N, D]
    """
    lips = head.point_matrix(OUTER_LIPS + INNER_LIPS)
    posed = np.matmul(lips, head.vertices(track.shape, track.expression, track.jaw))
    shape = posed / head.inter_ocular_distance(track.shape)
    # Root mean square over the lips' points, so that their number does not set the scale.
    shape = shape.reshape(len(track), -1) / np.sqrt(lips.shape[0])
    return np.concatenate([shape, POSE_WEIGHT * track.rotation], 1).astype(np.float32)


def feather_width(window_size: int) -> float:
    """Return the width of the mouth mask's fade, px, in a window drawn ``window_size`` px wide."""
    return MASK_FEATHER_FRACTION * window_size
