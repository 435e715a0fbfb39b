"""Correlation of the mouth opening with the original's at the best lag."""

from __future__ import annotations

from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, Metric
from dubfew.evaluate.metrics._mouth_opening import find_clip_lag


def _measure(clips: ClipPair) -> float:
    return clips.compute_once(find_clip_lag)[1]


METRIC = Metric(
    unit="",
    bounds=(-1.0, 1.0),
    direction="higher",
    best=1.0,
    source="highest Pearson correlation of the mouth openings at lags of up to five frames",
    measure=ClipMeasure(_measure),
    # docs/benchmarks.md: as for opening_r.
    good=0.9,
    poor=0.4,
    needs_same_line=True,
)
