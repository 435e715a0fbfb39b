"""Mouth openings of two clips, which several metrics correlate."""

from __future__ import annotations

from dubfew.evaluate.face_geometry import mouth_opening
from dubfew.evaluate.metrics._base import ClipPair, LandmarkArray, check_landmark_pair
from dubfew.utils.signal import find_best_lag, lagged_correlation

# Largest lag in frames that is searched for, in either direction: 0.2 s at 25 fps. A viewer sees a
# smaller lag as bad sync; over a larger range two unrelated curves agree somewhere by chance.
MAX_LAG_FRAMES = 5
# A mouth whose opening has a smaller standard deviation (in eye-corner distances) does not move.
# Only rounding is left of it then, and a ratio or correlation of that is arbitrary.
MIN_OPENING_STD = 1e-6


def correlate_openings(
    reference: LandmarkArray,  # [N, 478, 3]
    output: LandmarkArray,  # [N, 478, 3]
) -> float:
    """Correlate the mouth openings of two clips without a lag.

    Args:
        reference: landmarks of the original, px; rows of frames without a face are NaN.
            [N, 478, 3]
        output: landmarks of the same frames of the output, px. [N, 478, 3]

    Returns:
        Pearson's coefficient, -1 to 1; NaN if fewer than three frames show a face in both clips or
        a mouth does not move.

    Raises:
        ShapeError: The clips differ in length, or their landmarks are not [N, 478, 3].
    """
    check_landmark_pair(reference, output)
    return lagged_correlation(
        mouth_opening(reference), mouth_opening(output), 0, min_std=MIN_OPENING_STD
    )


def find_opening_lag(
    reference: LandmarkArray,  # [N, 478, 3]
    output: LandmarkArray,  # [N, 478, 3]
) -> tuple[float, float]:
    """Find the lag of up to five frames at which the mouth openings of two clips agree best.

    Args:
        reference: landmarks of the original, px; rows of frames without a face are NaN.
            [N, 478, 3]
        output: landmarks of the same frames of the output, px. [N, 478, 3]

    Returns:
        Frames by which the output's mouth is late (negative: early; of equally good lags the
        smallest), and the correlation at that lag. NaN where `correlate_openings` is at any lag.

    Raises:
        ShapeError: The clips differ in length, or their landmarks are not [N, 478, 3].
    """
    check_landmark_pair(reference, output)
    return find_best_lag(
        mouth_opening(reference), mouth_opening(output), MAX_LAG_FRAMES, min_std=MIN_OPENING_STD
    )


def find_clip_lag(clips: ClipPair) -> tuple[float, float]:
    """Find the lag of two clips; for `ClipPair.compute_once`."""
    return find_opening_lag(clips.reference_landmarks, clips.output_landmarks)
