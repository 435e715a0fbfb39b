"""Movement of the lips in silence, against the original's, as THEval measures it."""

from __future__ import annotations

import math

from dubfew.evaluate.metrics._base import Metric
from dubfew.evaluate.metrics._theval import compare_clips, measure_silent_deviation

METRIC = Metric(
    unit="",
    bounds=(-math.inf, 1.0),
    direction="higher",
    best=1.0,
    source="THEval (arXiv 2511.04520), silent lip stability: median deviation of the opening in "
    "silence; 1 - |output - original| / original, its eq. 12; silence is found by level "
    "instead of by a network",
    measure=compare_clips(measure_silent_deviation),
    best_if_unchanged=False,
)
