"""Haze between the lips: darkness that a network did not dare to paint."""

from __future__ import annotations

from typing import Any

import numpy as np

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric
from dubfew.evaluate.metrics._mouth_inside import INSIDE, find_mouth_inside
from dubfew.references.teeth import to_lab

# Percentile of the lightness between the lips that counts as its dark parts. Haze lies over
# everything and shows where it should be darkest; a tooth more or less does not move this.
DARK_PERCENTILE = 20.0


def inside_haze(resource: Any, pair: FramePair) -> float | None:
    """Measure by how much the dark parts between the lips are too light; None without an inside."""
    found = find_mouth_inside(resource, pair)
    if found is None:
        return None
    inside = found.place.inside
    film, output = (
        float(np.percentile(to_lab(image[inside])[:, 0], DARK_PERCENTILE))
        for image in found.blurred
    )
    return output - film


METRIC = Metric(
    unit="L*",
    bounds=(-100.0, 100.0),
    direction="closer",
    best=0.0,
    source="20th percentile of CIELAB lightness between the original's inner lips, output minus "
    "original, after a blur of 1.5 px: above 0 where a white haze lies over mouths that were not "
    "learned",
    measure=FrameMeasure(inside_haze),
    requirement=INSIDE,
    needs_same_line=True,
)
