"""Range of the mouth's movement relative to the original's."""

from __future__ import annotations

import math

import numpy as np

from dubfew.evaluate.face_geometry import mouth_opening
from dubfew.evaluate.metrics._base import (
    ClipMeasure,
    ClipPair,
    LandmarkArray,
    Metric,
    check_landmark_pair,
)
from dubfew.evaluate.metrics._mouth_opening import MIN_OPENING_STD


def opening_std_ratio(
    reference: LandmarkArray,  # [N, 478, 3]
    output: LandmarkArray,  # [N, 478, 3]
) -> float:
    """Divide the standard deviation of the output's mouth opening by that of the original's.

    Args:
        reference: landmarks of the original, px; rows of frames without a face are NaN.
            [N, 478, 3]
        output: landmarks of the same frames of the output, px. [N, 478, 3]

    Returns:
        1 for a mouth that moves as much, 0 for one that does not move; NaN if fewer than two frames
        show a face in both clips or the original's mouth does not move.

    Raises:
        ShapeError: The clips differ in length, or their landmarks are not [N, 478, 3].
    """
    check_landmark_pair(reference, output)
    a, b = mouth_opening(reference), mouth_opening(output)
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 2 or a[both].std() < MIN_OPENING_STD:
        return float("nan")
    return float(b[both].std() / a[both].std())


def _measure(clips: ClipPair) -> float:
    return opening_std_ratio(clips.reference_landmarks, clips.output_landmarks)


METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="closer",
    best=1.0,
    source="standard deviation of the gap between the inner lips, output / original",
    measure=ClipMeasure(_measure),
    # docs/benchmarks.md: a re-enactment has 1.05; speech drove the worst clip to 1.56.
    good=0.25,
    poor=0.6,
    needs_same_line=True,
)
