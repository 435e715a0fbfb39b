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

from dubfew.reconstruction.crop import project_posed, rotations
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.track import Track

LIPS = OUTER_LIPS + INNER_LIPS
BLOCK = 256  # frames whose vertices are held at once
# Eye distances a second: below it a viewer calls a head still.
STILL = 0.125
SETTLE = 0.06  # s: the detector's own tremble is not motion

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stability:
    """Figures of N frames; NaN where there is nothing to measure.

    Attributes:
        error: mean distance of the detector's landmarks from the head's, eye distances. [N]
        error_px: the same, px. [N]
        jitter: mean second difference of the head's projected lips over three frames, eye
            distances. [N]
        detector_jitter: the same of the detector's lips. [N]
        still: the head hardly moves: what jitters there is not motion of the head. [N] bool
        lips: the head's projected lips, outer ring then inner, px. [N, 40, 2]
        size: eye distance, px. [N]
    """

    error: Floats
    error_px: Floats
    jitter: Floats
    detector_jitter: Floats
    still: NDArray[np.bool_]
    lips: NDArray[np.float32]
    size: Floats


def measure(track: Track, head: HeadModel) -> Stability:
    """Measure a track against the landmarks it carries.

    Memory beside the track is 0.4 kB a frame.
    """
    n = len(track)
    error, lips = np.full(n, np.nan), np.zeros((n, len(LIPS), 2), np.float32)
    seen = track.landmarks[:, LIPS, :2]
    row = {int(point): index for index, point in enumerate(head.landmark_ids)}
    columns = [row[point] for point in LIPS]
    for block, points in projected(track, head):
        distance = np.linalg.norm(
            points - track.landmarks[block][:, head.landmark_ids, :2], axis=-1
        )
        error[block] = np.where(track.valid[block], distance.mean(1), np.nan)
        lips[block] = points[:, columns]
    size = eye_distance(track, head)
    apart = _apart(track)
    return Stability(
        error=error / size,
        error_px=error,
        jitter=second_difference(lips, apart) / size,
        detector_jitter=second_difference(seen, apart) / size,
        still=still_frames(track, head),
        lips=lips,
        size=size,
    )


def projected(track: Track, head: HeadModel) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The head's landmarks in the image, px, some frames at a time. [K, L, 2] each"""
    matrix = head.landmark_matrix()
    for start in range(0, len(track), BLOCK):
        block = slice(start, start + BLOCK)
        points = matrix @ head.vertices(
            track.shape, track.expression[block], track.jaw[block], track.neck[block]
        )
        image = project_posed(
            points, rotations(track.rotation[block]), track.translation[block], track.camera
        )
        yield block, image[..., :2]


def eye_distance(track: Track, head: HeadModel) -> Floats:
    """Distance of the outer eye corners, were they side by side where they are, px. [N]"""
    middle = (head.points(EYE_CORNERS) @ head.shaped(track.shape)).mean(0)
    turned = rotations(track.rotation) @ middle
    # Head space looks at the camera, camera space away from it.
    depth = (track.translation[:, 2] - turned[:, 2]).astype(np.float64)
    return np.asarray(track.camera.focal * head.inter_ocular(track.shape) / depth)


def second_difference(
    points: NDArray,  # [N, P, 2]
    apart: NDArray[np.bool_] | None = None,  # [N]
) -> Floats:  # [N]
    """How far points are from the middle of where they were before and will be after, twice.

    Args:
        points: any unit. [N, P, 2]
        apart: frames that do not follow on the one before. [N]

    Returns:
        Mean over the points, in the same unit; NaN at the ends of every run. [N]
    """
    found = np.full(len(points), np.nan)
    if len(points) < 3:
        return found
    bend = points[2:].astype(np.float64) - 2 * points[1:-1] + points[:-2]
    found[1:-1] = np.linalg.norm(bend, axis=-1).mean(-1)
    if apart is not None:
        found[apart] = np.nan
        found[:-1][apart[1:]] = np.nan
    return found


def still_frames(track: Track, head: HeadModel) -> NDArray[np.bool_]:
    """Frames in which the head, whatever the face does, moves slower than ``STILL``. [N]"""
    rest = head.landmark_matrix() @ head.shaped(track.shape)
    fps = float(track.fps)
    still = np.zeros(len(track), np.bool_)
    size = eye_distance(track, head)
    runs = np.flatnonzero(_apart(track)).tolist()
    for start, stop in zip(runs, [*runs[1:], len(track)], strict=True):
        if stop - start < 3 or not track.valid[start]:
            continue
        run = slice(start, stop)
        # Four corners of the face say how it moves.
        image = _outline(rest, track, run)
        smooth = gaussian_filter1d(image, SETTLE * fps, axis=0, mode="nearest")
        speed = np.linalg.norm(np.gradient(smooth, axis=0), axis=-1).mean(1) * fps
        still[run] = speed < STILL * size[run]
    return still


def _outline(rest: NDArray, track: Track, run: slice) -> NDArray[np.float64]:
    """The extreme points of the resting face in the image. [K, 4, 2]"""
    corners = rest[[*rest[:, :2].argmin(0), *rest[:, :2].argmax(0)]]
    rotation = rotations(track.rotation[run])
    posed = np.repeat(corners[None], len(rotation), 0)
    image = project_posed(posed, rotation, track.translation[run], track.camera)
    return image[..., :2].astype(np.float64)


def _apart(track: Track) -> NDArray[np.bool_]:
    """Frames that do not follow on the one before: the first, after a cut or gap, no face. [N]"""
    apart = np.ones(len(track), np.bool_)
    apart[1:] = (np.diff(track.shot) != 0) | ~track.valid[1:] | ~track.valid[:-1]
    return apart
