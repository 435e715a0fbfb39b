"""Correlation of the mouth opening with the recognized phonemes at the best lag."""

from __future__ import annotations

from dubfew.evaluate.metrics._base import Metric
from dubfew.evaluate.metrics._phonemes import PHONEME_RECOGNIZER, PHONEME_SOURCE, measure_phonemes

METRIC = Metric(
    unit="",
    bounds=(-1.0, 1.0),
    direction="higher",
    best=1.0,
    source=PHONEME_SOURCE,
    measure=measure_phonemes("heard_r_best"),
    requirement=PHONEME_RECOGNIZER,
)
