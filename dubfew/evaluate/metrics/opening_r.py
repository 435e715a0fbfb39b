"""Correlation of the mouth opening with the original's, without a lag."""

from __future__ import annotations

from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, Metric
from dubfew.evaluate.metrics._mouth_opening import correlate_openings


def _measure(clips: ClipPair) -> float:
    return correlate_openings(clips.reference_landmarks, clips.output_landmarks)


METRIC = Metric(
    unit="",
    bounds=(-1.0, 1.0),
    direction="higher",
    best=1.0,
    source="Pearson's correlation of the gap between the inner lips over the eye-corner distance",
    measure=ClipMeasure(_measure),
    # docs/benchmarks.md: a re-enactment has 0.96, a mouth that is driven by speech 0.38 on average.
    good=0.9,
    poor=0.4,
    needs_same_line=True,
)
