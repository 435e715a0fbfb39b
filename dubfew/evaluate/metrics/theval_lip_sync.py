"""Opening against loudness, as THEval measures it."""

from __future__ import annotations

import math

from dubfew.evaluate.metrics._base import Metric
from dubfew.evaluate.metrics._theval import compare_clips, measure_loudness_distance

METRIC = Metric(
    unit="",
    bounds=(-math.inf, 1.0),
    direction="higher",
    best=1.0,
    source="THEval (arXiv 2511.04520), lip sync: mean difference of opening and loudness in "
    "speech, both scaled to 0 to 1; 1 - |output - original| / original, its eq. 12; "
    "speech is found by level instead of by a network",
    measure=compare_clips(measure_loudness_distance),
    best_if_unchanged=False,
)
