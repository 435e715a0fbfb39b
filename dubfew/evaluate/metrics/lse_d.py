"""Lip-sync error, distance (LSE-D): SyncNet's distance of mouth and sound at the best shift."""

from __future__ import annotations

import math

from dubfew.evaluate.metrics._base import Metric
from dubfew.evaluate.metrics._syncnet import SYNCNET_SOURCE, SYNCNET_WEIGHTS, measure_syncnet

METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source=SYNCNET_SOURCE,
    measure=measure_syncnet("lse_d"),
    requirement=SYNCNET_WEIGHTS,
)
