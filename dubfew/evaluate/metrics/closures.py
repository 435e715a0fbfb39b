"""Sounds of closed lips in which the lips close."""

from __future__ import annotations

from typing import Any

import numpy as np

from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, Metric
from dubfew.evaluate.metrics._speech import CLOSED_BELOW, PHONES, phone_openings
from dubfew.speech.visemes import BILABIAL_LETTERS


def closures_hit(phones: Any, clips: ClipPair) -> float:
    """Compute the share of p, b and m in which the output's lips close at least once.

    Args:
        phones: not used; the clips have them.
        clips: both clips, with phones.

    Returns:
        %, 0 to 100, higher is better; NaN without such a sound.
    """
    hits = [values.min() < CLOSED_BELOW for values in phone_openings(clips, BILABIAL_LETTERS)]
    return float(np.mean(hits) * 100) if hits else float("nan")


METRIC = Metric(
    unit="% of p, b and m",
    bounds=(0.0, 100.0),
    direction="higher",
    best=100.0,
    source="p, b and m in which the lip gap falls below 0.025 eye-corner distances; sounds from "
    "the transcript or PocketSphinx",
    measure=ClipMeasure(closures_hit),
    requirement=PHONES,
    good=80.0,
    poor=50.0,
    best_if_unchanged=False,
)
