"""Frames that show teeth where the original does."""

from __future__ import annotations

from typing import Any

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric
from dubfew.evaluate.metrics._mouth_inside import INSIDE, find_mouth_inside
from dubfew.references.teeth import TEETH_SHARE


def has_found_teeth(resource: Any, pair: FramePair) -> float | None:
    """Tell whether the output shows teeth: 100 or 0; None where the original shows none."""
    found = find_mouth_inside(resource, pair)
    if found is None or found.shares[0] <= TEETH_SHARE:
        return None
    return 100.0 if found.shares[1] > TEETH_SHARE else 0.0


METRIC = Metric(
    unit="% of the frames with teeth",
    bounds=(0.0, 100.0),
    direction="higher",
    best=100.0,
    source="frames in which more than 5 % of the opening is as bright as the lower lip and paler, "
    "of those in which it is in the original",
    measure=FrameMeasure(has_found_teeth),
    requirement=INSIDE,
    needs_same_line=True,
)
