"""Variety of the lips' shapes, against the original's, as THEval measures it."""

from __future__ import annotations

import math

from dubfew.evaluate.metrics._base import Metric
from dubfew.evaluate.metrics._theval import compare_clips, measure_lip_dynamics

METRIC = Metric(
    unit="",
    bounds=(-math.inf, 1.0),
    direction="higher",
    best=1.0,
    source="THEval (arXiv 2511.04520), lip dynamics: variance over time of the distances between "
    "lip landmarks; 1 - |output - original| / original, its eq. 12",
    measure=compare_clips(measure_lip_dynamics),
    best_if_unchanged=True,
)
