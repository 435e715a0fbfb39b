"""Offset of mouth and sound that SyncNet finds."""

from __future__ import annotations

from dubfew.evaluate.metrics._base import Metric
from dubfew.evaluate.metrics._syncnet import SYNCNET_SOURCE, SYNCNET_WEIGHTS, measure_syncnet

METRIC = Metric(
    unit="frames of 1/25 s",
    bounds=(-15.0, 15.0),
    direction="closer",
    best=0.0,
    source=SYNCNET_SOURCE,
    measure=measure_syncnet("av_offset"),
    requirement=SYNCNET_WEIGHTS,
)
