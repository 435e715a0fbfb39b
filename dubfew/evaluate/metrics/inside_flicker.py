"""Change of what shows between the lips from frame to frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dubfew.evaluate.metrics._aggregation import geometric_mean
from dubfew.evaluate.metrics._base import ClipPair, FrameCurve, FramePair, Measurement, Metric
from dubfew.evaluate.metrics._mouth_inside import INSIDE, MouthInside, find_mouth_inside


class _ChangeMeasurement:
    """Changes so far, and the frame before."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._before: MouthInside | None = None

    def add_frame(self, pair: FramePair) -> None:
        found, value = find_mouth_inside(None, pair), math.nan
        if found is not None and self._before is not None:
            inside = found.place.inside
            first, second = (
                np.abs(now[inside].astype(np.float32) - before[inside]).mean()
                for now, before in (
                    (found.reference, self._before.reference),
                    (found.output, self._before.output),
                )
            )
            value = float(second / first) if first > 0 else math.nan
        self._values.append(value)
        self._before = found

    def compute(self, clips: ClipPair) -> float:
        curve = self.curve(clips)
        return curve.aggregate(curve.values)

    def curve(self, clips: ClipPair) -> FrameCurve:
        return FrameCurve(np.array(self._values, np.float64), geometric_mean)


class ChangeMeasure:
    """Measure how much the inside of the mouth changes, against the original."""

    def start(self, resource: Any) -> Measurement:
        """Begin to measure a pair of clips."""
        return _ChangeMeasurement()


METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="closer",
    best=1.0,
    source="mean change between the inner lips from one frame to the next, mouths cut 256 px wide, "
    "output / original, geometric mean of the frames",
    measure=ChangeMeasure(),
    requirement=INSIDE,
    needs_same_line=True,
)
