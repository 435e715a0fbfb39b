"""Length of teeth: they are rigid, so that none may be longer than the original's longest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.metrics._base import ClipPair, FrameCurve, FramePair, Measurement, Metric
from dubfew.evaluate.metrics._mouth_inside import INSIDE, find_mouth_inside
from dubfew.references.teeth import TEETH_SHARE

# Percentile of the frames whose teeth count as the longest of a clip: single frames err.
FRAME_PERCENTILE = 95.0


def longest(values: NDArray[np.float64]) -> float:
    """Return the length of the longest teeth of some frames [N]; NaN without any."""
    return float(np.percentile(values, FRAME_PERCENTILE)) if len(values) else float("nan")


class _LengthMeasurement:
    """Lengths of the teeth of both clips so far, % of the distance of the eye corners."""

    def __init__(self) -> None:
        self._lengths: list[tuple[float, float]] = []

    def add_frame(self, pair: FramePair) -> None:
        found = find_mouth_inside(None, pair)
        reference = output = math.nan
        if found is not None:
            reference, output = (
                length if share > TEETH_SHARE else math.nan
                for length, share in zip(found.lengths, found.shares, strict=True)
            )
        self._lengths.append((reference, output))

    def compute(self, clips: ClipPair) -> float:
        curve = self.curve(clips)
        return curve.aggregate(curve.values)

    def curve(self, clips: ClipPair) -> FrameCurve:
        lengths = np.array(self._lengths, np.float64).reshape(-1, 2)
        known = longest(lengths[np.isfinite(lengths[:, 0]), 0])
        return FrameCurve(
            lengths[:, 1] / known, lambda values: longest(values[np.isfinite(values)])
        )


class LengthMeasure:
    """Measure the teeth of every frame against the longest of the original."""

    def start(self, resource: Any) -> Measurement:
        """Begin to measure a pair of clips."""
        return _LengthMeasurement()


METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="closer",
    best=1.0,
    source="95th percentile of the heights of teeth in a frame, 95th percentile of the frames, "
    "output / original",
    measure=LengthMeasure(),
    requirement=INSIDE,
    needs_same_line=True,
)
