"""Lag of the mouth opening against the original's."""

from __future__ import annotations

from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, Metric
from dubfew.evaluate.metrics._mouth_opening import MAX_LAG_FRAMES, find_clip_lag


def _measure(clips: ClipPair) -> float:
    return clips.compute_once(find_clip_lag)[0]


METRIC = Metric(
    unit="frames",
    bounds=(float(-MAX_LAG_FRAMES), float(MAX_LAG_FRAMES)),
    direction="closer",
    best=0.0,
    source="lag of the highest correlation of the mouth openings; positive if the output is late",
    measure=ClipMeasure(_measure),
    # A frame is 40 ms at 25 fps. ITU-R BT.1359-1: errors are noticed from 45 ms (sound early) and
    # 125 ms (sound late) on.
    good=1.0,
    poor=3.0,
    needs_same_line=True,
)
