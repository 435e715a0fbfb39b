"""Quality of a track: landmark error and jitter of every frame.

Measures are in eye distances, so that faces of any size can be compared. An eye distance is the
distance of the outer eye corners in the image, as it would appear if the face were frontal.
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

# Lips by which jitter is measured: outer ring, then inner ring. [40]
LIP_RING_LANDMARKS = OUTER_LIPS + INNER_LIPS
VERTEX_BLOCK_FRAMES = 256  # frames whose vertices are in memory at once
# Speed below which a viewer sees a head as still, eye distances per second.
MAX_STILL_HEAD_SPEED = 0.125
# Standard deviation of the Gaussian that smooths positions before their speed is taken, s. Without
# it, jitter would count as speed, and no head would be still.
SPEED_SMOOTHING_SECONDS = 0.06

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrackStability:
    """Measures of N frames; NaN where nothing can be measured.

    Attributes:
        error: mean distance of the detected landmarks from those of the fitted head, eye
            distances. [N]
        error_px: the same distance, px. [N]
        jitter: mean second difference of the fitted head's lips over three frames, eye distances.
            [N]
        detector_jitter: mean second difference of the detected lips, eye distances. [N]
        is_still: True where the head hardly moves, so that all jitter is noise. [N] bool
        lip_points: lips of the fitted head in the image, outer ring then inner, px. [N, 40, 2]
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
    """Measure a track against the detected landmarks that it holds.

    Takes 0.4 kB of memory per frame.

    Args:
        track: the track.
        head: head model of the track.
    """
    count = len(track)
    error = np.full(count, np.nan)
    lips = np.zeros((count, len(LIP_RING_LANDMARKS), 2), np.float32)
    detected_lips = track.landmarks[:, LIP_RING_LANDMARKS, :2]
    row = {int(landmark): index for index, landmark in enumerate(head.landmark_ids)}
    columns = [row[landmark] for landmark in LIP_RING_LANDMARKS]
    # Block by block: all vertices of a long clip would fill gigabytes.
    for block, points in project_landmarks(track, head):
        distance = np.linalg.norm(
            points - track.landmarks[block][:, head.landmark_ids, :2], axis=-1
        )
        error[block] = np.where(track.valid[block], distance.mean(1), np.nan)
        lips[block] = points[:, columns]
    # Divide by the size of the face, frame by frame.
    eye_distance = frontal_eye_distance(track, head)
    is_run_start = _find_run_starts(track)
    return TrackStability(
        error=error / eye_distance,
        error_px=error,
        jitter=second_difference(lips, is_run_start) / eye_distance,
        detector_jitter=second_difference(detected_lips, is_run_start) / eye_distance,
        is_still=find_still_frames(track, head),
        lip_points=lips,
        eye_distance_px=eye_distance,
    )


def project_landmarks(track: Track, head: HeadModel) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Project the fitted head's landmarks, some frames at a time.

    Args:
        track: the track.
        head: head model of the track.

    Yields:
        Rows of the track, and the landmarks in these frames, px [K, L, 2].
    """
    # Landmarks are a linear map of the vertices.
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
    """Measure the eye distance: inter-ocular distance as if the face were frontal.

    Args:
        track: the track.
        head: head model of the track.

    Returns:
        Distance of the outer eye corners at their depth, px. [N]
    """
    middle = (head.point_matrix(EYE_CORNERS) @ head.rest_vertices(track.shape)).mean(0)
    rotated = rotvecs_to_matrices(track.rotation) @ middle
    # z points towards the camera in head space, and away from it in camera space.
    depth = (track.translation[:, 2] - rotated[:, 2]).astype(np.float64)
    return np.asarray(track.camera.focal * head.inter_ocular_distance(track.shape) / depth)


def second_difference(
    points: NDArray,  # [N, P, 2]
    is_run_start: NDArray[np.bool_] | None = None,  # [N]
) -> Float64Array:  # [N]
    """Measure the second difference of points over three frames.

    Args:
        points: positions in any unit. [N, P, 2]
        is_run_start: True for frames that do not continue the frame before. [N]

    Returns:
        Mean length over the points, in the same unit; NaN at both ends of every run. [N]

    Example:
        >>> steady, bent = np.arange(4.0), np.array([0.0, 1, 0, 1])
        >>> second_difference(np.stack([steady, bent], 1)[:, None]).tolist()
        [nan, 2.0, 2.0, nan]
    """
    lengths = np.full(len(points), np.nan)
    # Shorter runs have no middle frame.
    if len(points) < 3:
        return lengths
    difference = points[2:].astype(np.float64) - 2 * points[1:-1] + points[:-2]
    lengths[1:-1] = np.linalg.norm(difference, axis=-1).mean(-1)
    # Frames at both sides of a break have no neighbor on one side.
    if is_run_start is not None:
        lengths[is_run_start] = np.nan
        lengths[:-1][is_run_start[1:]] = np.nan
    return lengths


def find_still_frames(track: Track, head: HeadModel) -> NDArray[np.bool_]:
    """Find the frames in which the head moves slower than ``MAX_STILL_HEAD_SPEED``.

    Motion of the face does not count: the resting face is moved with the head.

    Args:
        track: the track.
        head: head model of the track.

    Returns:
        True where the head is still; False in runs of fewer than three frames. [N]
    """
    rest = head.landmark_matrix() @ head.rest_vertices(track.shape)
    fps = float(track.fps)
    still = np.zeros(len(track), np.bool_)
    eye_distance = frontal_eye_distance(track, head)
    runs = np.flatnonzero(_find_run_starts(track)).tolist()
    for start, stop in zip(runs, [*runs[1:], len(track)], strict=True):
        if stop - start < 3 or not track.valid[start]:
            continue
        run = slice(start, stop)
        # Four extreme points of the face are enough to see it move.
        points = _project_extreme_points(rest, track, run)
        smooth = gaussian_filter1d(points, SPEED_SMOOTHING_SECONDS * fps, axis=0, mode="nearest")
        speed = np.linalg.norm(np.gradient(smooth, axis=0), axis=-1).mean(1) * fps
        still[run] = speed < MAX_STILL_HEAD_SPEED * eye_distance[run]
    return still


def _project_extreme_points(
    rest_landmarks: NDArray, track: Track, run: slice
) -> NDArray[np.float64]:
    """Project the leftmost, lowest, rightmost and highest point of the resting face. [K, 4, 2]"""
    corners = rest_landmarks[[*rest_landmarks[:, :2].argmin(0), *rest_landmarks[:, :2].argmax(0)]]
    rotation = rotvecs_to_matrices(track.rotation[run])
    posed = np.repeat(corners[None], len(rotation), 0)
    image = project_posed_points(posed, rotation, track.translation[run], track.camera)
    return image[..., :2].astype(np.float64)


def _find_run_starts(track: Track) -> NDArray[np.bool_]:
    """Find the frames that do not continue the frame before. [N]

    These are the first frame, frames after a cut, and frames without a face or after one.
    """
    is_start = np.ones(len(track), np.bool_)
    is_start[1:] = (np.diff(track.shot) != 0) | ~track.valid[1:] | ~track.valid[:-1]
    return is_start
