"""Extraction of mouth motion from filmed faces: from landmarks, or from a track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import NoFaceError, ShapeError
from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MouthMotion, mouth_point_rows
from dubfew.reconstruction.fitting.point_rig import PointRig
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.heads.landmark_indices import (
    EYE_CORNERS,
    INNER_LIPS,
    MOUTH_POINTS,
    OUTER_LIPS,
)
from dubfew.reconstruction.track import Track
from dubfew.utils.arrays import FloatArray
from dubfew.utils.growable_array import map_row_blocks

# Face-mesh points that move with the skull whatever the mouth does: forehead, nose bridge, eye
# corners, temples.
BONE_POINTS = (10, 151, 9, 8, 168, 6, 197, 195, 33, 133, 362, 263, 127, 356, 54, 284, 103, 332)
# Largest gap of closed lips, inter-ocular distances: the tracker puts closed lips 0.003 to 0.015
# apart, and wider is an open mouth. A larger value would take open mouths for a rest pose.
MAX_CLOSED_LIP_GAP = 0.02


def mouth_points_from_landmarks(
    landmarks: NDArray,  # [N, 478, 3]
) -> FloatArray:  # [N, P, 3]
    """Compute mouth points with the head's pose, size and position removed.

    Each frame is aligned in three dimensions by a similarity transform on points that move with the
    skull.

    Args:
        landmarks: px, z in px too and smaller is nearer; NaN rows are frames without a face. [N,
            478, 3]

    Returns:
        Positions in head axes, in inter-ocular distances (between the outer eye corners); NaN where
        there was no face. [N, P, 3]

    Raises:
        ShapeError: The landmarks are not [N, 478, 3].
        NoFaceError: No frame has a face.

    Source: Umeyama 1991, Least-Squares Estimation of Transformation Parameters Between Two Point
    Patterns (IEEE PAMI 13(4)), eq. 40 to 43.
    """
    if landmarks.ndim != 3 or landmarks.shape[1:] != (478, 3):
        raise ShapeError(f"landmarks have shape {landmarks.shape}, expected [N, 478, 3]")
    valid = np.isfinite(landmarks).all(axis=(1, 2))
    if not valid.any():
        raise NoFaceError("no frame has a face: there is no mouth motion to read")
    # Image axes (y down, z away) to head axes (y up, z towards the camera).
    points = landmarks[valid].astype(np.float64) * np.array([1.0, -1.0, -1.0])
    rigid = points[:, BONE_POINTS]
    head = load_head_model()
    neutral = np.zeros(len(head.shape_basis), np.float32)
    reference = (head.point_matrix(BONE_POINTS) @ head.template) / head.inter_ocular_distance(
        neutral
    )
    # First onto the mean head, then onto the clip's own mean: the speaker's skull differs from the
    # mean head, and pose would leak into the mouth through that difference.
    for _ in range(2):
        scale, rotation, offset = _fit_similarity(rigid, reference)
        aligned = _apply_similarity(rigid, scale, rotation, offset)
        reference = np.median(aligned, axis=0)
        corners = [BONE_POINTS.index(point) for point in EYE_CORNERS]
        reference /= np.linalg.norm(reference[corners[0]] - reference[corners[1]])
    # Frames without a face stay NaN.
    scale, rotation, offset = _fit_similarity(rigid, reference)
    mouth = np.full((len(landmarks), len(MOUTH_POINTS), 3), np.nan, np.float32)
    mouth[valid] = _apply_similarity(points[:, MOUTH_POINTS], scale, rotation, offset)
    return mouth


def _fit_similarity(source: NDArray, target: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Fit scale [N], rotation [N, 3, 3], offset [N, 3] from source [N, R, 3] to target [R, 3]."""
    center, goal = source.mean(axis=1), target.mean(axis=0)
    spread = source - center[:, None]
    covariance = np.einsum("ra,nrb->nab", target - goal, spread)
    u, singular, vt = np.linalg.svd(covariance)
    # A negative determinant would be a reflection: flip the least certain direction.
    sign = np.ones_like(singular)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = np.einsum("nab,nb,nbc->nac", u, sign, vt)
    scale = (singular * sign).sum(axis=1) / np.maximum((spread**2).sum(axis=(1, 2)), 1e-12)
    offset = goal - scale[:, None] * np.einsum("nab,nb->na", rotation, center)
    return scale, rotation, offset


def _apply_similarity(
    points: NDArray, scale: NDArray, rotation: NDArray, offset: NDArray
) -> NDArray:
    """Apply similarity transforms to points. [N, P, 3]"""
    return scale[:, None, None] * np.einsum("nab,npb->npa", rotation, points) + offset[:, None]


def estimate_rest_points(
    points: FloatArray,  # [N, P, 3]
) -> FloatArray:  # [P, 3]
    """Estimate a person's closed, relaxed lips from their footage.

    This is the median over the tenth of the frames with the smallest gap between the lips: short
    closures of /p b m/ and pauses alike, while the median drops pressed and pursed lips. Footage in
    which the mouth never closes has no such frame; there the lips of its most closed frames are
    brought together, the lower lip three quarters of the way.

    Args:
        points: mouth points in head axes, inter-ocular distances; NaN rows are skipped. [N, P, 3]

    Returns:
        Positions at which this person's displacement is 0. [P, 3]

    Raises:
        NoFaceError: No row is finite.
    """
    points = points[np.isfinite(points).all(axis=(1, 2))]
    if not len(points):
        raise NoFaceError("no frame has a face: there is no rest pose to estimate")
    # Rest is the median over the tenth of the frames with the smallest gap.
    upper, lower = np.array([mouth_point_rows(pair) for pair in INNER_LIP_PAIRS]).T
    gap = (points[:, upper, 1] - points[:, lower, 1]).mean(axis=1)
    closed = points[np.argsort(gap, kind="stable")[: max(1, len(points) // 10)]]
    rest = np.median(closed, axis=0).astype(np.float32)
    # A mouth that never closes has its lips brought together.
    open_by = float((rest[upper, 1] - rest[lower, 1]).mean())
    return _close_lips(rest) if open_by > MAX_CLOSED_LIP_GAP else rest


def _close_lips(rest_points: FloatArray) -> FloatArray:
    """Close the gap between the inner lips at every pair of opposite lip points."""
    closed = rest_points.copy()
    half = len(INNER_LIPS) // 2
    for ring in (OUTER_LIPS, INNER_LIPS):
        for k in range(1, half):
            top, bottom = mouth_point_rows((ring[k], ring[-k]))
            inner_top, inner_bottom = mouth_point_rows((INNER_LIPS[k], INNER_LIPS[-k]))
            gap = max(0.0, float(rest_points[inner_top, 1] - rest_points[inner_bottom, 1]))
            # The lower lip goes three quarters of the way, as a jaw would move it.
            closed[top, 1] -= 0.25 * gap
            closed[bottom, 1] += 0.75 * gap
    return closed


def motion_from_landmarks(
    landmarks: NDArray,  # [N, 478, 3]
    times: NDArray[np.float64],  # [N]
    *,
    rest_points: FloatArray | None = None,  # [P, 3]
) -> MouthMotion:
    """Extract mouth motion from a detector's landmarks, without fitting a head model.

    Args:
        landmarks: px; NaN rows are frames without a face and are bridged linearly. [N, 478, 3]
        times: time of each frame, s. [N]
        rest_points: result of `estimate_rest_points` for this person; None estimates it here. [P,
            3]

    Returns:
        Displacements from the rest pose, one row per frame.

    Raises:
        ShapeError: Landmarks and times have different lengths, or landmarks have a wrong shape.
        NoFaceError: No frame has a face.
    """
    if len(landmarks) != len(times):
        raise ShapeError(f"{len(landmarks)} rows of landmarks for {len(times)} times")
    points = mouth_points_from_landmarks(landmarks)
    return _motion_from_points(points, times, rest_points)


def motion_from_track(
    track: Track, head: HeadModel, *, rest_points: FloatArray | None = None
) -> MouthMotion:
    """Extract mouth motion from a tracked clip, as the head model was fitted to it.

    The neck is held still, so only the face moves. Frames without a face are bridged linearly from
    their neighbors.

    Args:
        track: the clip.
        head: the head model that ``track.head`` names.
        rest_points: result of `estimate_rest_points` for this person; None estimates it here. [P,
            3]

    Returns:
        Displacements from the rest pose, one row per frame.

    Raises:
        NoFaceError: No frame of the track is valid.
    """
    points = mouth_points_from_track(track, head)
    # The motion of an occluded mouth is a guess of the detector: leave it out where possible.
    points[~(track.usable if track.usable.any() else track.valid)] = np.nan
    return _motion_from_points(points, track.times, rest_points)


def mouth_points_from_track(track: Track, head: HeadModel) -> FloatArray:
    """Compute the mouth points of every frame in head space.

    Args:
        track: the clip.
        head: the head model that ``track.head`` names.

    Returns:
        Positions in inter-ocular distances. [N, P, 3]
    """
    # Pose these points alone: all vertices of FLAME would take 60 kB per frame, and ten times that
    # on the way.
    rig = PointRig(head, head.point_matrix(MOUTH_POINTS))
    unit = head.inter_ocular_distance(track.shape)

    def pose(jaw: NDArray, expression: NDArray) -> FloatArray:
        return (rig.pose_points(track.shape, jaw, expression).points / unit).astype(np.float32)

    return map_row_blocks(pose, track.jaw, track.expression)


def _motion_from_points(
    points: FloatArray, times: NDArray, rest_points: FloatArray | None
) -> MouthMotion:
    """Subtract the rest pose and bridge missing frames."""
    rest_points = estimate_rest_points(points) if rest_points is None else rest_points
    seen = np.isfinite(points).all(axis=(1, 2))
    times = np.asarray(times, np.float64)
    return MouthMotion((points[seen] - rest_points).astype(np.float32), times[seen]).resample(times)
