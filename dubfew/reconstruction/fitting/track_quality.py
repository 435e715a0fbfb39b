"""How well a track lies on what the detector saw, and how steadily: figures per frame.

All are shares of the distance of the outer eye corners as the camera would see it were the face
not turned (for short: eye distances), so that faces of any size can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.projection import project_posed_points, rotvecs_to_matrices
from dubfew.reconstruction.track import Track

LIP_RING_LANDMARKS = OUTER_LIPS + INNER_LIPS
VERTEX_BLOCK_FRAMES = 256  # frames whose vertices are held at once
# Eye distances a second: below it a viewer calls a head still.
MAX_STILL_HEAD_SPEED = 0.125
SPEED_SMOOTHING_SECONDS = 0.06  # s: the detector's own tremble is not motion

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrackStability:
    """Figures of N frames; NaN where there is nothing to measure.

    Attributes:
        error: mean distance of the detector's landmarks from the head's, eye distances. [N]
        error_px: the same, px. [N]
        jitter: mean second difference of the head's projected lips over three frames, eye
            distances. [N]
        detector_jitter: the same of the detector's lips. [N]
        is_still: the head hardly moves: what jitters there is not motion of the head. [N] bool
        lip_points: the head's projected lips, outer ring then inner, px. [N, 40, 2]
        eye_distance_px: eye distance, px. [N]
    """

    error: Float64Array
    error_px: Float64Array
    jitter: Float64Array
    detector_jitter: Float64Array
    is_still: NDArray[np.bool_]
    lip_points: NDArray[np.float32]
    eye_distance_px: Float64Array


def measure_stability(track: Track, head: HeadModel) -> TrackStability:
    """Measure a track against the landmarks it carries.

    Memory beside the track is 0.4 kB a frame.
    """
    n = len(track)
    error, lips = np.full(n, np.nan), np.zeros((n, len(LIP_RING_LANDMARKS), 2), np.float32)
    seen = track.landmarks[:, LIP_RING_LANDMARKS, :2]
    row = {int(point): index for index, point in enumerate(head.landmark_ids)}
    columns = [row[point] for point in LIP_RING_LANDMARKS]
    for block, points in project_landmarks(track, head):
        distance = np.linalg.norm(
            points - track.landmarks[block][:, head.landmark_ids, :2], axis=-1
        )
        error[block] = np.where(track.valid[block], distance.mean(1), np.nan)
        lips[block] = points[:, columns]
    size = frontal_eye_distance(track, head)
    apart = _find_run_starts(track)
    return TrackStability(
        error=error / size,
        error_px=error,
        jitter=second_difference(lips, apart) / size,
        detector_jitter=second_difference(seen, apart) / size,
        is_still=find_still_frames(track, head),
        lip_points=lips,
        eye_distance_px=size,
    )


def project_landmarks(track: Track, head: HeadModel) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The head's landmarks in the image, px, some frames at a time. [K, L, 2] each"""
    matrix = head.landmark_matrix()
    for start in range(0, len(track), VERTEX_BLOCK_FRAMES):
        block = slice(start, start + VERTEX_BLOCK_FRAMES)
        points = matrix @ head.vertices(
            track.shape, track.expression[block], track.jaw[block], track.neck[block]
        )
        image = project_posed_points(
            points,
            rotvecs_to_matrices(track.rotation[block]),
            track.translation[block],
            track.camera,
        )
        yield block, image[..., :2]


def frontal_eye_distance(track: Track, head: HeadModel) -> Float64Array:
    """Distance of the outer eye corners, were they side by side where they are, px. [N]"""
    middle = (head.point_matrix(EYE_CORNERS) @ head.rest_vertices(track.shape)).mean(0)
    turned = rotvecs_to_matrices(track.rotation) @ middle
    # Head space looks at the camera, camera space away from it.
    depth = (track.translation[:, 2] - turned[:, 2]).astype(np.float64)
    return np.asarray(track.camera.focal * head.inter_ocular_distance(track.shape) / depth)


def second_difference(
    points: NDArray,  # [N, P, 2]
    is_run_start: NDArray[np.bool_] | None = None,  # [N]
) -> Float64Array:  # [N]
    """How far points are from the middle of where they were before and will be after, twice.

    Args:
        points: any unit. [N, P, 2]
        is_run_start: frames that do not follow on the one before. [N]

    Returns:
        Mean over the points, in the same unit; NaN at the ends of every run. [N]
    """
    found = np.full(len(points), np.nan)
    if len(points) < 3:
        return found
    bend = points[2:].astype(np.float64) - 2 * points[1:-1] + points[:-2]
    found[1:-1] = np.linalg.norm(bend, axis=-1).mean(-1)
    if is_run_start is not None:
        found[is_run_start] = np.nan
        found[:-1][is_run_start[1:]] = np.nan
    return found


def find_still_frames(track: Track, head: HeadModel) -> NDArray[np.bool_]:
    """Frames in which the head, whatever the face does, moves slower than "
    "``MAX_STILL_HEAD_SPEED``. [N]"""
    rest = head.landmark_matrix() @ head.rest_vertices(track.shape)
    fps = float(track.fps)
    still = np.zeros(len(track), np.bool_)
    size = frontal_eye_distance(track, head)
    runs = np.flatnonzero(_find_run_starts(track)).tolist()
    for start, stop in zip(runs, [*runs[1:], len(track)], strict=True):
        if stop - start < 3 or not track.valid[start]:
            continue
        run = slice(start, stop)
        # Four corners of the face say how it moves.
        image = _project_extreme_points(rest, track, run)
        smooth = gaussian_filter1d(image, SPEED_SMOOTHING_SECONDS * fps, axis=0, mode="nearest")
        speed = np.linalg.norm(np.gradient(smooth, axis=0), axis=-1).mean(1) * fps
        still[run] = speed < MAX_STILL_HEAD_SPEED * size[run]
    return still


def _project_extreme_points(
    rest_landmarks: NDArray, track: Track, run: slice
) -> NDArray[np.float64]:
    """The extreme points of the resting face in the image. [K, 4, 2]"""
    corners = rest_landmarks[[*rest_landmarks[:, :2].argmin(0), *rest_landmarks[:, :2].argmax(0)]]
    rotation = rotvecs_to_matrices(track.rotation[run])
    posed = np.repeat(corners[None], len(rotation), 0)
    image = project_posed_points(posed, rotation, track.translation[run], track.camera)
    return image[..., :2].astype(np.float64)


def _find_run_starts(track: Track) -> NDArray[np.bool_]:
    """Frames that do not follow on the one before: the first, after a cut or gap, no face. [N]"""
    apart = np.ones(len(track), np.bool_)
    apart[1:] = (np.diff(track.shot) != 0) | ~track.valid[1:] | ~track.valid[:-1]
    return apart
