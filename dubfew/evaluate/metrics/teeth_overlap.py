"""Place of the teeth."""

from __future__ import annotations

from typing import Any

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric
from dubfew.evaluate.metrics._mouth_inside import INSIDE, find_mouth_inside
from dubfew.references.teeth import TEETH_SHARE


def teeth_overlap(resource: Any, pair: FramePair) -> float | None:
    """Compare the places of the teeth; None where the original shows none."""
    found = find_mouth_inside(resource, pair)
    return None if found is None or found.shares[0] <= TEETH_SHARE else found.overlap


METRIC = Metric(
    unit="",
    bounds=(0.0, 1.0),
    direction="higher",
    best=1.0,
    source="Dice coefficient of the pixels of teeth of original and output, mean of the frames "
    "in which the original shows teeth",
    measure=FrameMeasure(teeth_overlap),
    requirement=INSIDE,
    needs_same_line=True,
)
