"""Part of the opening that shows teeth."""

from __future__ import annotations

from typing import Any

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric
from dubfew.evaluate.metrics._mouth_inside import INSIDE, find_mouth_inside


def extra_teeth(resource: Any, pair: FramePair) -> float | None:
    """Subtract the original's share of teeth from the output's, %; None if no inside shows."""
    found = find_mouth_inside(resource, pair)
    return None if found is None else 100 * (found.shares[1] - found.shares[0])


METRIC = Metric(
    unit="% of the opening",
    bounds=(-100.0, 100.0),
    direction="closer",
    best=0.0,
    source="share of the opening that is as bright as the lower lip and paler, output - original",
    measure=FrameMeasure(extra_teeth),
    requirement=INSIDE,
    needs_same_line=True,
)
