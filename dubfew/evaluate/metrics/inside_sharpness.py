"""Sharpness of what shows between the lips."""

from __future__ import annotations

import math
from typing import Any

from dubfew.evaluate.metrics._aggregation import geometric_mean
from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric
from dubfew.evaluate.metrics._mouth_inside import INSIDE, find_mouth_inside


def inside_sharpness(resource: Any, pair: FramePair) -> float | None:
    """Divide the detail between the lips by the original's; None if no inside shows."""
    found = find_mouth_inside(resource, pair)
    return None if found is None else found.sharpness


METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="closer",
    best=1.0,
    source="variance of the Laplacian between the original's inner lips, output / original, "
    "geometric mean of the frames",
    measure=FrameMeasure(inside_sharpness, geometric_mean),
    requirement=INSIDE,
    needs_same_line=True,
)
