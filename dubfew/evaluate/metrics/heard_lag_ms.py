"""Lag of the mouth opening against the recognized phonemes."""

from __future__ import annotations

from dubfew.evaluate.metrics._base import Metric
from dubfew.evaluate.metrics._phonemes import PHONEME_RECOGNIZER, PHONEME_SOURCE, measure_phonemes

METRIC = Metric(
    unit="ms",
    bounds=(-400.0, 400.0),
    direction="closer",
    best=0.0,
    source=PHONEME_SOURCE,
    measure=measure_phonemes("heard_lag_ms"),
    requirement=PHONEME_RECOGNIZER,
)
