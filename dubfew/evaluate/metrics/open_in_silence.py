"""A mouth that is open while nothing is heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.face_geometry import mouth_opening
from dubfew.evaluate.metrics._base import ClipPair, CurveMeasure, Metric
from dubfew.evaluate.metrics._speech import OPEN_FROM


def open_in_silence(clips: ClipPair) -> NDArray[np.float64]:  # [N]
    """Tell for each silent frame whether the output's mouth is open.

    Args:
        clips: both clips.

    Returns:
        100 if it is open, 0 if it is closed; NaN where something is heard or no face is seen. [N]

    Source: after LipLeak of Bigata et al. 2025, KeySync (arXiv 2505.00497), which is the share of
    open mouths when a silent sound is given.
    """
    opening = mouth_opening(clips.output_landmarks)
    if clips.output_silent is None:
        return np.full(len(opening), np.nan)
    measured = clips.output_silent & np.isfinite(opening)
    return np.where(measured, np.where(opening > OPEN_FROM, 100.0, 0.0), np.nan)


METRIC = Metric(
    unit="% of the silent frames",
    bounds=(0.0, 100.0),
    direction="lower",
    best=0.0,
    source="frames of at least 0.2 s of silence in which the lips are 0.05 eye-corner distances "
    "apart; after LipLeak (KeySync, arXiv 2505.00497)",
    measure=CurveMeasure(open_in_silence),
    # Other systems have 8 to 46 %; compare with the original's own, for people breathe.
    good=5.0,
    poor=20.0,
    best_if_unchanged=False,
)
