"""Peak signal-to-noise ratio of what shows between the lips."""

from __future__ import annotations

import math
from typing import Any

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric
from dubfew.evaluate.metrics._mouth_inside import INSIDE, find_mouth_inside


def inside_psnr(resource: Any, pair: FramePair) -> float | None:
    """Compare the pixels between the lips of a frame, dB; None if no inside shows."""
    found = find_mouth_inside(resource, pair)
    return None if found is None else found.psnr


METRIC = Metric(
    unit="dB",
    bounds=(0.0, math.inf),
    direction="higher",
    best=math.inf,
    source="peak signal-to-noise ratio between the original's inner lips, mouths cut 256 px wide",
    measure=FrameMeasure(inside_psnr),
    requirement=INSIDE,
    needs_same_line=True,
)
