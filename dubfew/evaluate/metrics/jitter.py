"""Lips that tremble."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.face_geometry import LIP_POINTS, eye_corner_distance
from dubfew.evaluate.metrics._base import ClipPair, CurveMeasure, LandmarkArray, Metric
from dubfew.utils.growable_array import map_row_blocks


def lip_tremble(landmarks: LandmarkArray) -> NDArray[np.float64]:  # [N]
    """Compute the second difference in time of the lips.

    Args:
        landmarks: landmarks of a clip, px; rows of frames without a face are NaN. [N, 478, 3]

    Returns:
        Mean over 40 points of ``|x[k - 1] - 2 x[k] + x[k + 1]|``, % of the eye-corner distance;
        NaN at the ends and beside frames without a face. [N]
    """
    values = np.full(len(landmarks), np.nan)
    if len(landmarks) >= 3:
        # Each frame with the one before and the one after it.
        values[1:-1] = map_row_blocks(
            _measure_second_difference, landmarks[:-2], landmarks[1:-1], landmarks[2:]
        )
    return values


def _measure_second_difference(
    before: LandmarkArray, here: LandmarkArray, after: LandmarkArray
) -> NDArray[np.float64]:
    first, middle, last = (
        rows[:, LIP_POINTS, :2].astype(np.float64) for rows in (before, here, after)
    )
    second = np.linalg.norm(first - 2 * middle + last, axis=-1).mean(-1)
    return np.asarray(second / eye_corner_distance(here) * 100)


def added_tremble(clips: ClipPair) -> NDArray[np.float64]:  # [N]
    """Subtract the tremble of the original's lips from that of the output's, frame by frame."""
    return lip_tremble(clips.output_landmarks) - lip_tremble(clips.reference_landmarks)


def _middle(values: NDArray[np.float64]) -> float:
    """Median, 0 or more; NaN without values."""
    return max(0.0, float(np.median(values))) if len(values) else float("nan")


METRIC = Metric(
    unit="% of the eye-corner distance",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source="second difference in time of the 40 lip landmarks, output - original, median of the "
    "frames, since words move the lips in fewer than half of them",
    measure=CurveMeasure(added_tremble, _middle),
    # The detector alone trembles by 0.2 to 1 % (docs/benchmarks.md).
    good=0.3,
    poor=1.0,
)
