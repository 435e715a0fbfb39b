"""MouthMotion of a face that was filmed: from landmarks, or from a Track."""

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

# Points that ride on bone whatever the mouth does: forehead, nose bridge, eye corners, temples.
BONE_POINTS = (10, 151, 9, 8, 168, 6, 197, 195, 33, 133, 362, 263, 127, 356, 54, 284, 103, 332)
# The tracker puts closed lips 0.003 to 0.015 eye distances apart; wider is an open mouth.
MAX_CLOSED_LIP_GAP = 0.02


def mouth_points_from_landmarks(
    landmarks: NDArray,  # [N, 478, 3]
) -> FloatArray:  # [N, P, 3]
    """Mouth points without the head's pose, size and place.

    Each frame is aligned in three dimensions by a similarity transform on points that ride on
    bone, first to the mean head, then to the clip's own mean (the speaker's skull differs from
    the mean head, and pose would leak into the mouth through that difference).

    Args:
        landmarks: px, z in px too and smaller is nearer; NaN rows are frames without a face.
            [N, 478, 3]

    Returns:
        Positions in head axes, in units of the outer-eye-corner distance; NaN where there was
        no face. [N, P, 3]

    Raises:
        ShapeError: not [N, 478, 3].
        NoFaceError: no frame has a face.

    Source: Umeyama 1991, eq. 40-43.
    """
    if landmarks.ndim != 3 or landmarks.shape[1:] != (478, 3):
        raise ShapeError(f"landmarks have shape {landmarks.shape}, expected [N, 478, 3]")
    valid = np.isfinite(landmarks).all(axis=(1, 2))
    if not valid.any():
        raise NoFaceError("no frame has a face: there is no mouth motion to read")
    points = landmarks[valid].astype(np.float64) * np.array([1.0, -1.0, -1.0])
    rigid = points[:, BONE_POINTS]
    head = load_head_model()
    neutral = np.zeros(len(head.shape_basis), np.float32)
    reference = (head.point_matrix(BONE_POINTS) @ head.template) / head.inter_ocular_distance(
        neutral
    )
    for _ in range(2):
        scale, rotation, offset = _fit_similarity(rigid, reference)
        aligned = _apply_similarity(rigid, scale, rotation, offset)
        reference = np.median(aligned, axis=0)
        corners = [BONE_POINTS.index(point) for point in EYE_CORNERS]
        reference /= np.linalg.norm(reference[corners[0]] - reference[corners[1]])
    scale, rotation, offset = _fit_similarity(rigid, reference)
    mouth = np.full((len(landmarks), len(MOUTH_POINTS), 3), np.nan, np.float32)
    mouth[valid] = _apply_similarity(points[:, MOUTH_POINTS], scale, rotation, offset)
    return mouth


def _fit_similarity(source: NDArray, target: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Scale [N], rotation [N, 3, 3] and offset [N, 3] that bring source [N, R, 3] to target."""
    centre, goal = source.mean(axis=1), target.mean(axis=0)
    spread = source - centre[:, None]
    covariance = np.einsum("ra,nrb->nab", target - goal, spread)
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.ones_like(singular)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = np.einsum("nab,nb,nbc->nac", u, sign, vt)
    scale = (singular * sign).sum(axis=1) / np.maximum((spread**2).sum(axis=(1, 2)), 1e-12)
    offset = goal - scale[:, None] * np.einsum("nab,nb->na", rotation, centre)
    return scale, rotation, offset


def _apply_similarity(
    points: NDArray, scale: NDArray, rotation: NDArray, offset: NDArray
) -> NDArray:
    return scale[:, None, None] * np.einsum("nab,npb->npa", rotation, points) + offset[:, None]


def estimate_rest_points(
    points: FloatArray,  # [N, P, 3]
) -> FloatArray:  # [P, 3]
    """The closed, relaxed lips of a person, estimated from their footage.

    The median over the tenth of frames with the smallest gap between the lips (short closures
    of /p b m/ and pauses alike; the median drops pressed and pursed ones). Footage in which the
    mouth never closes has no such frame: there the lips of its most closed frames are brought
    together by hand, the lower lip three quarters of the way, as a jaw would.

    Args:
        points: mouth points in head axes, eye-corner distances; NaN rows are skipped. [N, P, 3]

    Returns:
        What displacement 0 means for this person. [P, 3]

    Raises:
        NoFaceError: no usable row.
    """
    points = points[np.isfinite(points).all(axis=(1, 2))]
    if not len(points):
        raise NoFaceError("no frame has a face: there is no rest pose to estimate")
    upper, lower = np.array([mouth_point_rows(pair) for pair in INNER_LIP_PAIRS]).T
    gap = (points[:, upper, 1] - points[:, lower, 1]).mean(axis=1)
    closed = points[np.argsort(gap, kind="stable")[: max(1, len(points) // 10)]]
    rest = np.median(closed, axis=0).astype(np.float32)
    open_by = float((rest[upper, 1] - rest[lower, 1]).mean())
    return _close_lips(rest) if open_by > MAX_CLOSED_LIP_GAP else rest


def _close_lips(rest_points: FloatArray) -> FloatArray:
    """Move each lip's points by the gap between the inner lips at their place."""
    closed = rest_points.copy()
    half = len(INNER_LIPS) // 2
    for ring in (OUTER_LIPS, INNER_LIPS):
        for k in range(1, half):
            top, bottom = mouth_point_rows((ring[k], ring[-k]))
            inner_top, inner_bottom = mouth_point_rows((INNER_LIPS[k], INNER_LIPS[-k]))
            gap = max(0.0, float(rest_points[inner_top, 1] - rest_points[inner_bottom, 1]))
            closed[top, 1] -= 0.25 * gap
            closed[bottom, 1] += 0.75 * gap
    return closed


def motion_from_landmarks(
    landmarks: NDArray,  # [N, 478, 3]
    times: NDArray[np.float64],  # [N]
    *,
    rest_points: FloatArray | None = None,  # [P, 3]
) -> MouthMotion:
    """Mouth motion straight from a detector's landmarks, with no head model fitted.

    Args:
        landmarks: px; NaN rows are frames without a face and are bridged linearly. [N, 478, 3]
        times: moment of each frame, s. [N]
        rest_points: what ``estimate_rest_points`` gave for this person, or None to estimate it
            here. [P, 3]

    Returns:
        Displacements from the rest pose, one row per frame.

    Raises:
        ShapeError: landmarks and times do not belong together.
        NoFaceError: no frame has a face.
    """
    if len(landmarks) != len(times):
        raise ShapeError(f"{len(landmarks)} rows of landmarks for {len(times)} times")
    points = mouth_points_from_landmarks(landmarks)
    return _motion_from_points(points, times, rest_points)


def motion_from_track(
    track: Track, head: HeadModel, *, rest_points: FloatArray | None = None
) -> MouthMotion:
    """Mouth motion of a tracked clip, as the head model fitted it.

    The neck is held still, so nothing but the face moves; frames without a face are bridged
    linearly from their neighbours.

    Args:
        track: the clip.
        head: the model that ``track.head`` names.
        rest_points: what ``estimate_rest_points`` gave for this person, or None to estimate it
            here. [P, 3]

    Returns:
        Displacements from the rest pose, one row per frame.

    Raises:
        NoFaceError: no frame of the track is valid.
    """
    points = mouth_points_from_track(track, head)
    # What a covered mouth does is the detector's guess.
    points[~(track.usable if track.usable.any() else track.valid)] = np.nan
    return _motion_from_points(points, track.times, rest_points)


def mouth_points_from_track(track: Track, head: HeadModel) -> FloatArray:
    """The mouth points of every frame in head space, inter-ocular distances. [N, P, 3]"""
    # Not by all vertices: those of FLAME would take 60 kB of every frame, and ten times that on
    # the way.
    rig = PointRig(head, head.point_matrix(MOUTH_POINTS))
    points = rig.pose_points(track.shape, track.jaw, track.expression).points
    return (points / head.inter_ocular_distance(track.shape)).astype(np.float32)


def _motion_from_points(
    points: FloatArray, times: NDArray, rest_points: FloatArray | None
) -> MouthMotion:
    rest_points = estimate_rest_points(points) if rest_points is None else rest_points
    seen = np.isfinite(points).all(axis=(1, 2))
    times = np.asarray(times, np.float64)
    return MouthMotion((points[seen] - rest_points).astype(np.float32), times[seen]).resample(times)
