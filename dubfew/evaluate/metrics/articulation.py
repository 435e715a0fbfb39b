"""How far the mouth moves in speech, against the original."""

from __future__ import annotations

import math

import numpy as np

from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, Metric
from dubfew.evaluate.metrics._mouth_opening import MIN_OPENING_STD
from dubfew.evaluate.metrics._speech import openings_in_speech

# Quantiles of the opening whose distance is taken for its range: single frames are misfits of the
# detector or a yawn.
LOW_QUANTILE, HIGH_QUANTILE = 0.1, 0.9
# Fewest frames of speech from which a range is taken: less than a word tells nothing.
MIN_FRAMES = 10


def articulation(clips: ClipPair) -> float:
    """Divide the range of the output's opening in its speech by that of the original in its own.

    The two may speak different lines.

    Args:
        clips: both clips.

    Returns:
        1 for a mouth that moves as far, less for one that mumbles; NaN if one of them speaks in
        fewer than ten frames with a face, or the original's mouth does not move.
    """
    reference, output = openings_in_speech(clips)
    if min(len(reference), len(output)) < MIN_FRAMES:
        return float("nan")
    first, second = (
        float(np.subtract(*np.quantile(values, (HIGH_QUANTILE, LOW_QUANTILE))))
        for values in (reference, output)
    )
    return second / first if first > MIN_OPENING_STD else float("nan")


METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="closer",
    best=1.0,
    source="distance of the quantiles 0.1 and 0.9 of the lip gap in speech, output / original",
    measure=ClipMeasure(articulation),
    # Other systems reach 0.34 to 1.03 on HDTF.
    good=0.2,
    poor=0.45,
)
