"""Color of what shows between the lips."""

from __future__ import annotations

import math
from typing import Any

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric
from dubfew.evaluate.metrics._mouth_inside import INSIDE, find_mouth_inside


def inside_color_difference(resource: Any, pair: FramePair) -> float | None:
    """Compare the colors between the lips of a frame; None if no inside shows."""
    found = find_mouth_inside(resource, pair)
    return None if found is None else found.color_difference


METRIC = Metric(
    unit="CIEDE2000",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source="mean CIEDE2000 difference (Sharma, Wu and Dalal 2005, Color Research and Application "
    "30) between the original's inner lips, mouths cut 256 px wide, after a blur of 1.5 px",
    measure=FrameMeasure(inside_color_difference),
    requirement=INSIDE,
    needs_same_line=True,
)
